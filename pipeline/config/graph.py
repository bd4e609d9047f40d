"""The whole configuration, and the checks of references between its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import model_validator

from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.config.data import DataConfig
from pipeline.config.evaluation import EvaluateConfig, FeaturesConfig
from pipeline.config.feasibility import feasibility_problems
from pipeline.config.flow import LossConfig
from pipeline.config.noise import STANDARD_NOISE
from pipeline.config.section import ModelName, Section
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.config.training import DistillConfig, FlowConfig, FlowTrainingConfig, TrainingConfig
from pipeline.config.watch import WatchConfig
from pipeline.system.errors import nearest

TEACHER = "teacher"
DISTILLED = "distilled"
RESERVED_MODEL_NAMES = (TEACHER, DISTILLED, "classifier")


class RoundConfig(Section):
    """One reflow round: its couplings and the student trained on them."""

    couplings: CouplingsConfig
    train: FlowTrainingConfig


@dataclass(frozen=True)
class Headline:
    """What a run is judged by.

    Attributes:
        student: The student of few steps.
        couplings: The couplings that it learned.
    """

    student: str
    couplings: str


class Config(Section):
    """Everything a run depends on; the content of ``params.yaml``.

    Attributes:
        name: The preset that this was composed from: its file in ``configs/preset/``, without ``.yaml``. It changes no
            result; ``check`` composes the preset again and reports what differs.
    """

    name: ModelName
    launch: LaunchConfig
    compute: ComputeConfig
    data: DataConfig
    teacher: TeacherConfig
    features: FeaturesConfig
    flows: dict[ModelName, FlowConfig]
    rounds: dict[ModelName, RoundConfig]
    gate: GateConfig
    distill: DistillConfig
    evaluate: EvaluateConfig
    watch: WatchConfig = WatchConfig()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models of the run."""
        return (TEACHER, *self.flows, *self.rounds, DISTILLED)

    @property
    def headline(self) -> Headline:
        """The student that the run is made for, and its couplings."""
        return Headline(DISTILLED, self.distill.couplings)

    def cells_of(self, model: str) -> tuple[tuple[SolverConfig, int], ...]:
        """Solver and number of samples of every cell that ``model`` is measured at.

        Of the headline's student the steps that the headline compares have more samples, and so have the ODEs of a
        model that couplings were made by, which are measured whether they are among the configured solvers or not.
        """
        evaluate = self.evaluate
        cells = dict.fromkeys(evaluate.solvers(teacher=self.solvers_of(model) == TEACHER_SOLVERS), evaluate.num_samples)
        if model == self.headline.student:
            steps = evaluate.headline.num_steps
            many = [SolverConfig(name="euler", num_steps=count) for count in steps]
        else:
            many = [item.couplings.solver for item in self.rounds.values() if item.couplings.source == model]
        return tuple((cells | dict.fromkeys(many, evaluate.headline.num_samples)).items())

    def solvers_of(self, model: str) -> tuple[str, ...]:
        """Names of the solvers that can sample ``model``: those of diffusion models, or those of flows."""
        return TEACHER_SOLVERS if model == TEACHER and not self.teacher.is_flow else STUDENT_SOLVERS

    @model_validator(mode="after")
    def _graph_is_sound(self) -> Config:
        problems = list(_graph_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def learns_mean_velocity(config: Config, model: str) -> bool:
    """Whether ``model`` should learn E[x_1 - x_0 | x_t] of independent pairs, which mixtures have in closed form.

    Plain flows do, and so does a diffusion teacher on the straight time axis; students of couplings do not.
    """
    flow = config.flows.get(model, config.teacher.flow if model == TEACHER else None)
    return model == TEACHER if flow is None else flow.is_plain


def _graph_problems(config: Config) -> Iterable[str]:
    """Yields what is wrong with the references between rounds, distillation and evaluation."""
    if not config.rounds:
        yield "rounds is empty; give at least one round"
    yield from _name_problems(config)
    yield from _space_problems(config)
    yield from feasibility_problems(config)
    sources = (TEACHER, *config.flows, *config.rounds)
    for name, item in config.rounds.items():
        for key, target in (("couplings.source", item.couplings.source), ("train.init", item.train.init)):
            if target not in sources:
                yield f"rounds.{name}.{key} is {target!r}{nearest(target, sources)}"
        allowed = config.solvers_of(item.couplings.source)
        used = {"solver": item.couplings.solver}
        if item.couplings.image_to_noise is not None:
            used["image_to_noise.solver"] = item.couplings.image_to_noise.solver
        for part, solver in used.items():
            if not (solver.solves_diffusion_models if allowed == TEACHER_SOLVERS else solver.solves_flows):
                yield (
                    f"rounds.{name}.couplings.{part} is {solver.name!r} on grid {solver.grid!r}, but source "
                    f"{item.couplings.source!r} takes one of {', '.join(allowed)} on its own grids"
                )
    for cycle in _cycles(config.rounds):
        yield f"rounds form a cycle: {' <- '.join(cycle)}; one of them must start from the teacher"
    if config.distill.couplings not in config.rounds:
        yield f"distill.couplings is {config.distill.couplings!r}{nearest(config.distill.couplings, config.rounds)}"
    if config.distill.init not in sources:
        yield f"distill.init is {config.distill.init!r}{nearest(config.distill.init, sources)}"
    known = (*sources, DISTILLED)
    for model in config.evaluate.models:
        if model not in known:
            yield f"evaluate.models names {model!r}{nearest(model, known)}"
    for teacher, allowed in ((True, TEACHER_SOLVERS), (False, STUDENT_SOLVERS)):
        key = "teacher_solvers" if teacher else "student_solvers"
        solvers = config.evaluate.solvers(teacher=teacher)
        for solver in solvers:
            if not (solver.solves_diffusion_models if teacher else solver.solves_flows):
                yield (
                    f"evaluate.{key} names {solver.name!r} on grid {solver.grid!r}; it takes {', '.join(allowed)} "
                    "on their own grids"
                )
        cells = [(solver.label, solver.num_steps) for solver in solvers]
        if not cells or len(set(cells)) != len(cells):
            yield f"evaluate.{key} must name at least one solver and none twice, found {', '.join(map(str, cells))}"
    for key, values in (("models", config.evaluate.models), ("num_steps", config.evaluate.num_steps)):
        if not values or len(set(values)) != len(values):
            yield f"evaluate.{key} must name at least one entry and none twice, found {list(values)}"


def _name_problems(config: Config) -> Iterable[str]:
    """Yields names that share a folder with another name or are reserved; some disks ignore case."""
    taken: dict[str, str] = {
        name: f"a reserved name ({', '.join(RESERVED_MODEL_NAMES)})" for name in RESERVED_MODEL_NAMES
    }
    for section, names in (("flows", config.flows), ("rounds", config.rounds)):
        for name in names:
            if name.lower() in taken:
                yield f"{section}.{name}: on some disks that is the name of {taken[name.lower()]}; rename one"
            taken.setdefault(name.lower(), f"{section}.{name}")


def losses(config: Config) -> dict[str, LossConfig]:
    """Every loss that the run trains with, by its key."""
    found = {f"flows.{name}.loss": flow.loss for name, flow in config.flows.items()}
    found |= {f"rounds.{name}.train.loss": item.train.loss for name, item in config.rounds.items()}
    if config.teacher.is_flow and config.teacher.flow is not None:
        found["teacher.flow.loss"] = config.teacher.flow.loss
    return found | {"distill.loss": config.distill.loss}


def _space_problems(config: Config) -> Iterable[str]:
    """Yields settings that do not fit the kind of sample, image or point."""
    source, points = config.data.source, config.data.space == "points"
    if points != (config.teacher.mlp is not None):
        yield f"data.source {source!r} needs teacher.{'mlp' if points else 'unet'}, and null for the other"
    if points != (config.features.name == "points"):
        yield f"features.name must {'' if points else 'not '}be 'points' for data.source {source!r}"
    if points and config.watch.samples_every_steps is not None:
        yield "watch.samples_every_steps draws images; set it to null for points"
    trainings: dict[str, TrainingConfig] = {"teacher.train": config.teacher.train, "distill": config.distill}
    trainings |= {f"flows.{name}": flow for name, flow in config.flows.items()}
    trainings |= {f"rounds.{name}.train": item.train for name, item in config.rounds.items()}
    for key, training in trainings.items():
        if points and training.horizontal_flips:
            yield f"{key}.horizontal_flips mirrors images; set it to false for points"
    drops = {f"rounds.{name}.train": item.train.dropout for name, item in config.rounds.items()}
    for key, dropout in (drops | {"distill": config.distill.dropout}).items():
        if points and dropout > 0:
            yield f"{key}.dropout is of residual blocks, which an mlp has not; set it to 0 for points"
    for name, item in config.rounds.items():
        if points and item.couplings.dtype == "uint8":
            yield f"rounds.{name}.couplings.dtype uint8 keeps [-1, 1] alone; give float32 or float16 for points"
    for key, loss in losses(config).items():
        if points and loss.name == "lpips_huber":
            yield f"{key} lpips_huber compares images; give l2 or pseudo_huber for points"
    flows = {f"flows.{name}": flow.noise for name, flow in config.flows.items()}
    if config.teacher.is_flow and config.teacher.flow is not None:
        flows["teacher.flow"] = config.teacher.flow.noise
    for key, noise in flows.items():
        if noise != STANDARD_NOISE and not points:
            yield f"{key}.noise is not N(0, I), which is possible for points only"
        if noise.mean is not None and len(noise.mean) != config.data.sample_shape[0]:
            yield f"{key}.noise.mean has {len(noise.mean)} entries, points of {source!r} {config.data.sample_shape[0]}"


def _cycles(rounds: Mapping[str, RoundConfig]) -> Iterable[list[str]]:
    """Yields each cycle of rounds that depend on each other, smallest name first, once."""
    seen: set[frozenset[str]] = set()

    def walk(name: str, path: list[str]) -> Iterable[list[str]]:
        if name in path:
            cycle = path[path.index(name) :]
            if frozenset(cycle) not in seen:
                seen.add(frozenset(cycle))
                yield [*cycle, name]
            return
        item = rounds.get(name)
        if item is None:
            return
        for target in dict.fromkeys((item.couplings.source, item.train.init)):
            yield from walk(target, [*path, name])

    for name in sorted(rounds):
        yield from walk(name, [])
