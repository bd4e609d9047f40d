from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

from pipeline.config.solver import TEACHER_SOLVERS
from pipeline.diffusion.noise_schedule import IMAGE, Node, noise_schedule_of
from pipeline.diffusion.solvers import GRID_SOLVERS, corrector_weights, ddim, dpmpp_2m, heun, predictor_weights, unipc

MEAN, STD = 0.4, 0.5
X = torch.linspace(-2, 2, 9, dtype=torch.float64).reshape(-1, 1)


def straight_node(t: float, log_ratio: float | None = None) -> Node:
    """A point of the rectified-flow process itself: alpha = t, sigma = 1 - t."""
    return Node(t, 1 - t, math.log(t / (1 - t)) if log_ratio is None else log_ratio, t)


def grid(start: float, end: float, num_steps: int) -> list[Node]:
    times = [start + (end - start) * step / num_steps for step in range(num_steps + 1)]
    if start > 0:
        return [straight_node(t) for t in times]
    rest = [straight_node(t) for t in times[1:]]
    return [straight_node(0.0, log_ratio=2 * rest[0].log_ratio - rest[1].log_ratio), *rest]


def std_at(node: Node) -> float:
    return math.hypot(node.alpha * STD, node.sigma)


def denoise(x: torch.Tensor, node: Node) -> torch.Tensor:
    """E[x_1 | x] for images N(MEAN, STD²)."""
    return MEAN + node.alpha * STD**2 / std_at(node) ** 2 * (x - node.alpha * MEAN)


def exact_end(x: torch.Tensor, here: Node, there: Node) -> torch.Tensor:
    """The ODE keeps every point at the same number of standard deviations from the mean."""
    return there.alpha * MEAN + std_at(there) / std_at(here) * (x - here.alpha * MEAN)


SOLVERS = [
    pytest.param(ddim, 1, id="ddim"),
    pytest.param(dpmpp_2m, 2, id="dpmpp_2m"),
    pytest.param(heun, 2, id="heun"),
    # The predictor is of order 2; its estimate corrects the state, so the error is of order 3.
    pytest.param(unipc, 3, id="unipc"),
]


def slopes(solver, start: float, end: float) -> list[float]:
    """Orders of convergence between 64, 128 and 256 steps."""
    errors = []
    for num_steps in (64, 128, 256):
        nodes = grid(min(start, end), max(start, end), num_steps)
        nodes = nodes if start < end else nodes[::-1]
        errors.append((solver(denoise, X, nodes) - exact_end(X, nodes[0], nodes[-1])).abs().max().item())
    return [math.log2(errors[i] / errors[i + 1]) for i in range(2)]


@pytest.mark.parametrize(("start", "end"), [(0.05, 0.9), (0.9, 0.05), (0.0, 0.9), (0.9, 0.0)])
@pytest.mark.parametrize(("solver", "order"), SOLVERS)
def test_convergence_order_in_both_directions_and_from_and_to_pure_noise(solver, order, start, end) -> None:
    assert slopes(solver, start, end) == pytest.approx([order] * 2, abs=0.15)


@pytest.mark.parametrize(("start", "end"), [(0.05, 0.9), (0.9, 0.05)])
def test_a_third_order_predictor_converges_at_least_as_fast_as_its_first_steps_allow(start, end) -> None:
    assert min(slopes(partial(unipc, order=3), start, end)) > 2.85


@pytest.mark.parametrize("solver", [solver for solver, *_ in (param.values for param in SOLVERS)])
def test_a_step_onto_the_image_is_the_estimate(solver) -> None:
    here = straight_node(0.3)
    assert torch.allclose(solver(denoise, X, [here, IMAGE]), denoise(X, here))


def test_weights_sum_to_one_and_one_step_is_the_exact_exponential_integral() -> None:
    nodes = [straight_node(t) for t in (0.1, 0.25, 0.3, 0.5)]
    for weights in (predictor_weights(nodes, 3), corrector_weights(nodes, 2), corrector_weights(nodes, 3)):
        assert sum(weights) == pytest.approx(1, abs=1e-12)
    # An estimate that is a parabola in λ is integrated exactly by three of its values: ∫ r λ² dλ in closed form.
    values = torch.tensor([[node.log_ratio**2] for node in nodes[:3]], dtype=torch.float64)
    *_, here, there = nodes
    weighted = sum(w * value for w, value in zip(predictor_weights(nodes, 3), values.flip(0), strict=True))

    def antiderivative(lam: float) -> float:
        return math.exp(lam) * (lam**2 - 2 * lam + 2)

    integral = antiderivative(there.log_ratio) - antiderivative(here.log_ratio)
    assert weighted.item() == pytest.approx(integral / (math.exp(there.log_ratio) - math.exp(here.log_ratio)))


THEIRS = [
    (ddim, DPMSolverMultistepScheduler, {"solver_order": 1, "algorithm_type": "dpmsolver++"}),
    (dpmpp_2m, DPMSolverMultistepScheduler, {"solver_order": 2, "algorithm_type": "dpmsolver++"}),
    (unipc, UniPCMultistepScheduler, {"solver_order": 2}),
]


@pytest.mark.parametrize("num_steps", [1, 2, 3, 16, 40])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(("solver", "scheduler_class", "settings"), THEIRS)
def test_the_solvers_are_those_of_diffusers(solver, scheduler_class, settings, betas: str, num_steps: int) -> None:
    config = dict(DDPMScheduler(beta_schedule=betas, prediction_type="sample").config)
    theirs = scheduler_class.from_config(config, timestep_spacing="trailing", final_sigmas_type="zero", **settings)
    theirs.set_timesteps(num_steps)
    schedule = noise_schedule_of(DDPMScheduler.from_config(config))
    nodes = schedule.nodes(num_steps)
    assert [node.time for node in nodes[:-1]] == theirs.timesteps.tolist()

    def network(x: torch.Tensor, time: float) -> torch.Tensor:
        """Any smooth function."""
        return torch.tanh(x * (1 - time / 1200)) + 0.3 * torch.sin(3 * x + time / 300)

    x = X.float()
    for time in theirs.timesteps:
        x = theirs.step(network(x, float(time)), time, x).prev_sample
    ours = solver(lambda x, node: network(x, node.time), X.float(), nodes)
    assert torch.allclose(ours, x, rtol=1e-5, atol=1e-5)


def test_every_solver_of_the_configuration_is_in_the_registry() -> None:
    assert {*GRID_SOLVERS, "dopri5"} == set(TEACHER_SOLVERS)
