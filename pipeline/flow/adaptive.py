"""The adaptive Dormand-Prince 5(4) of torchdiffeq, whose failures are told as the user's."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pipeline.system.errors import StraightflowError, one_line

State = tuple[torch.Tensor, ...]
Derivative = Callable[[torch.Tensor, State], State]

MOST_STEPS = 2_000
"""Steps that a solve may take; a learned field takes some tens to hundreds."""


def integrate_dopri5(
    derivative: Derivative, start: State, times: tuple[float, float], *, rtol: float, atol: float
) -> State:
    """Integrates d(state)/dt = ``derivative(t, state)``.

    Args:
        derivative: Takes a time, a scalar in float64, and the state.
        start: State at the first time: tensors (batch, …).
        times: First and last time, rising or falling.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Returns:
        State at the last time.

    Raises:
        StraightflowError: If the start or a derivative is not finite, or the tolerances cannot be kept: the step
            vanished, or there were too many.
    """
    import torchdiffeq  # with SciPy, which solvers of fixed steps do without

    def cannot_follow(found: str) -> StraightflowError:
        return StraightflowError(
            expected=f"a field that dopri5 can follow from t = {times[0]:.6g} to {times[1]:.6g} at rtol {rtol:g}, "
            f"atol {atol:g} in {MOST_STEPS:,} steps",
            found=found,
            mend="raise rtol and atol, set compute.precision: fp32, or choose a solver of fixed steps",
        )

    def finite_derivative(t: torch.Tensor, state: State) -> State:
        if not bool(torch.isfinite(t)):
            raise cannot_follow("no step that keeps the tolerances")
        slopes = derivative(t, state)
        _require_finite(slopes, f"a finite velocity at t = {float(t):.6g}")
        return slopes

    _require_finite(start, "a finite state to solve from")
    grid = torch.tensor(times, dtype=torch.float64, device=start[0].device)
    try:
        states: State = torchdiffeq.odeint(
            finite_derivative,
            start,
            grid,
            rtol=rtol,
            atol=atol,
            method="dopri5",
            options={"max_num_steps": MOST_STEPS},
        )
    except AssertionError as error:  # torchdiffeq's word for every step that it cannot take
        raise cannot_follow(one_line(error)) from error
    return tuple(values[-1] for values in states)


def _require_finite(state: State, expected: str) -> None:
    if not all(bool(torch.isfinite(values).all()) for values in state):
        raise StraightflowError(
            expected=expected,
            found="NaN or infinity",
            mend="check the model and its training, or set compute.precision: fp32",
        )
