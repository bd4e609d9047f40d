"""Network calls and images of a run's evaluation and assessment, from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.class_measuring import solver_shown
from pipeline.config.graph import Config
from pipeline.config.planned_calls import solver_calls
from pipeline.config.solver import TEACHER_SOLVERS


@dataclass(frozen=True)
class PlannedMeasuring:
    """What measuring a model, or checking and measuring couplings, takes.

    Attributes:
        stage: Named as in ``dvc.yaml``: ``evaluate@<model>`` or ``assess@<couplings>``.
        model: Whose network.
        forward: Samples through it.
        num_samples: Samples that are measured.
    """

    stage: str
    model: str
    forward: int
    num_samples: int


def planned_measuring(config: Config) -> tuple[PlannedMeasuring, ...]:
    """Every assessment, then every evaluation; of adaptive solvers the fewest calls that they can take.

    Of points the trajectories that are drawn and the error of a velocity field are not among the calls, nor is the grid
    of classes, whose number is known once the data are.
    """
    found = [_assessment(config, name) for name in config.couplings]
    return (*found, *(_evaluation(config, model) for model in config.evaluate.models))


def _assessment(config: Config, name: str) -> PlannedMeasuring:
    couplings = config.couplings[name]
    chunk = min(couplings.num_kept_pairs, config.evaluate.num_samples)
    solved_again = min(config.gate.reintegrated_pairs, couplings.num_pairs)
    forward = solved_again * solver_calls(config, couplings.source, couplings.solver)
    measured = couplings.num_kept_pairs - couplings.num_kept_pairs % chunk
    return PlannedMeasuring(f"assess@{name}", couplings.source, forward, measured)


def _evaluation(config: Config, model: str) -> PlannedMeasuring:
    cells = config.cells_of(model)
    sampled = sum(count * solver_calls(config, model, solver) for solver, count in cells)
    measured = sum(count for _, count in cells)
    drawn = 0 if config.data.space == "points" else config.drawn_of(model).forward
    if config.evaluate.per_class and model not in config.flows:
        shown = solver_shown([solver for solver, _ in cells], diffusion=config.solvers_of(model) == TEACHER_SOLVERS)
        sampled += config.evaluate.num_samples * solver_calls(config, model, shown)
        measured += config.evaluate.num_samples
    return PlannedMeasuring(f"evaluate@{model}", model, sampled + _trajectories(config) + drawn, measured)


def _trajectories(config: Config) -> int:
    """Velocities at N + 1 times from noise to image, N back, and at the ⌊N/2⌋ + 1 times of half as many steps."""
    settings = config.evaluate.straightness
    half = settings.num_steps // 2
    calls = (settings.num_steps + 1) + settings.num_steps + (half + 1 if half else 0)
    return settings.num_samples * calls
