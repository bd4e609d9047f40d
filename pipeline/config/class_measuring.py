"""How classes are measured one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.evaluation import EvaluateConfig
    from pipeline.config.solver import SolverConfig


def samples_per_class(config: EvaluateConfig, num_classes: int) -> int:
    """Images generated of each class to measure it by itself: ``num_samples`` divided among them."""
    return config.num_samples // num_classes


def too_few_of_class(counts: Sequence[int], num_samples: int, num_features: int) -> str | None:
    """Why classes cannot be measured one by one; None if they can.

    Args:
        counts: Real images of each class.
        num_samples: Images generated of each.
        num_features: Dimensions of the features: a covariance of fewer images has no full rank.
    """
    if num_samples < num_features:
        return (
            f"{num_samples} images generated of each of {len(counts)} classes, evaluate.num_samples divided among "
            f"them, fewer than features ({num_features})"
        )
    least = min(range(len(counts)), key=lambda label: counts[label])
    if counts[least] < num_features:
        return f"{counts[least]} real images of class {least}, fewer than features ({num_features})"
    return None


def solver_shown(solvers: Sequence[SolverConfig], *, diffusion: bool) -> SolverConfig:
    """What classes are shown and measured with: a student's fewest steps, which it is for, a diffusion model's most."""
    fixed = [solver for solver in solvers if solver.num_steps is not None] or list(solvers)
    return (max if diffusion else min)(fixed, key=lambda solver: solver.num_steps or 0)
