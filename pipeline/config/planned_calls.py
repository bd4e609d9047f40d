"""Network calls that a run will make, from its configuration alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.graph import Config
from pipeline.config.lineage import training_stage
from pipeline.config.methods import TrainingCalls
from pipeline.config.network_calls import LEAST_ADAPTIVE_CALLS, fixed_step_calls, guided_calls
from pipeline.config.solver import TEACHER_SOLVERS, SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.config.training import TrainingConfig
from pipeline.config.trainings import trainings

_REGRESSION = TrainingCalls(forward=1, backward=1)
"""Of a model of the data, which learns noise or velocity at one time an image (Ho et al. 2020; Liu et al. 2022); of an
autoencoder, which gives the image back."""
_REGRESSION_HELDOUT = TrainingCalls(forward=1, backward=0)


@dataclass(frozen=True)
class PlannedCalls:
    """Samples that a stage sends through one model's network, counted as by :class:`pipeline.system.compute.Compute`.

    Attributes:
        stage: Named as in ``dvc.yaml``, see :func:`pipeline.config.lineage.stages_of`.
        model: Whose network.
        forward: Samples through its forward pass.
        backward: Of these, those whose gradient comes back.
        is_least: Whether an adaptive solver decides, and this is the fewest that it can take.
    """

    stage: str
    model: str
    forward: int
    backward: int = 0
    is_least: bool = False


def planned_calls(config: Config) -> tuple[PlannedCalls, ...]:
    """Every training and every drawing of couplings in the run; a student that follows its init has two entries.

    A method's calls of a batch are averages over its samples where its share of them is no whole number. Encoding the
    data is not among them: how many images there are is known once the data are.
    """
    return tuple(_planned(config))


def solver_calls(config: Config, model: str, solver: SolverConfig, *, to_noise: bool = False) -> int:
    """Network calls for one sample of ``model`` by ``solver``.

    The fewest that it can take, where its error decides or guidance is for some times alone.
    """
    if solver.name == "dopri5":
        return guided_calls(LEAST_ADAPTIVE_CALLS, LEAST_ADAPTIVE_CALLS, solver.guidance)[0]
    fewest, most = fixed_step_calls(solver.name, solver.steps, to_noise=to_noise)
    calls = fewest if config.solvers_of(model) == TEACHER_SOLVERS else most
    return guided_calls(calls, calls, solver.guidance)[0]


def _planned(config: Config) -> Iterator[PlannedCalls]:
    for item in trainings(config):
        if item.model not in config.students:
            yield _training(config, item.model, item.settings)
    for name, couplings in config.couplings.items():
        yield _drawing(config, name, couplings)
    for name, student in config.students.items():
        yield _training(config, name, student)
        if student.method.follows_init:
            calls, heldout = student.method.network_calls.of_init, student.method.heldout_calls.of_init
            yield PlannedCalls(training_stage(config, name), student.init, _forward(config, student, calls, heldout))


def _training(config: Config, model: str, settings: TrainingConfig) -> PlannedCalls:
    """Of the trained network itself."""
    calls, heldout = _REGRESSION, _REGRESSION_HELDOUT
    if isinstance(settings, StudentConfig):
        calls, heldout = settings.method.network_calls, settings.method.heldout_calls
    return PlannedCalls(
        training_stage(config, model),
        model,
        _forward(config, settings, calls.forward, heldout.forward),
        round(settings.num_steps * settings.batch_size * calls.backward),
    )


def _forward(config: Config, settings: TrainingConfig, calls: float, heldout_calls: float) -> int:
    """Samples forward in a training and its held-out losses, at so many calls for an image of either."""
    trained_on = settings.num_steps * settings.batch_size
    return round(trained_on * calls + _heldout_rows(settings, config.launch.num_processes) * heldout_calls)


def _heldout_rows(settings: TrainingConfig, num_processes: int) -> int:
    """Rows of all held-out losses, with those that fill up a process's last batch."""
    if not settings.heldout_items:
        return 0
    every = settings.heldout_every_steps or settings.num_steps
    # At multiples of `every` and at the last step of the default average, and of every average to choose between them.
    num_losses = -(-settings.num_steps // every) + len(settings.halflives_images)
    num_batches = -(-settings.heldout_items // settings.batch_size)
    share = -(-min(settings.batch_size, settings.heldout_items) // num_processes)
    return num_losses * num_batches * share * num_processes


def _drawing(config: Config, name: str, couplings: CouplingsConfig) -> PlannedCalls:
    """Of the source, for pairs from noise and pairs from images."""
    inverted, inversion = couplings.num_inverted_pairs, couplings.image_to_noise
    forward = (couplings.num_pairs - inverted) * solver_calls(config, couplings.source, couplings.solver)
    solvers = [couplings.solver]
    if inversion is not None:
        forward += inverted * solver_calls(config, couplings.source, inversion.solver, to_noise=True)
        solvers.append(inversion.solver)
    adaptive = any(solver.name == "dopri5" for solver in solvers)
    return PlannedCalls(f"couplings@{name}", couplings.source, forward, is_least=adaptive)
