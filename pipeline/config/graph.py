"""The whole configuration, and the checks of references between its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from pydantic import Field, model_validator

from pipeline.config.autoencoder import AutoencoderConfig, LatentsConfig
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.config.data import DataConfig
from pipeline.config.drawn_trajectories import STUDENT_STEPS, DrawnTrajectories
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.feasibility import feasibility_problems
from pipeline.config.feature_learning import feature_learning_problems
from pipeline.config.features import FeaturesConfig
from pipeline.config.flow import LossConfig
from pipeline.config.following import following_problems
from pipeline.config.latents import latents_problems
from pipeline.config.methods import ReflowConfig
from pipeline.config.noise import STANDARD_NOISE
from pipeline.config.pretrained import Promised
from pipeline.config.section import ModelName, Section
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.config.taught_features import taught_features
from pipeline.config.teacher import TeacherConfig
from pipeline.config.training import FlowConfig, TrainingConfig
from pipeline.config.two_times import two_times_problems
from pipeline.config.watch import WatchConfig
from pipeline.system.errors import nearest

TEACHER = "teacher"
AUTOENCODER = "autoencoder"
RESERVED_MODEL_NAMES = (TEACHER, "classifier", AUTOENCODER)


@dataclass(frozen=True)
class Headline:
    """What a run is judged by.

    Attributes:
        student: The student of few steps.
        couplings: The couplings that it learned.
        taught: Students that learned the first features, of those that it comes from, itself among them: its FIDs by
            these are no measure of its images.
    """

    student: str
    couplings: str
    taught: tuple[str, ...] = ()


class Config(Section):
    """Everything a run depends on; the content of ``params.yaml``.

    Attributes:
        name: The preset that this was composed from: its file in ``configs/preset/``, without ``.yaml``. It changes no
            result; ``check`` composes the preset again and reports what differs.
        autoencoder: What the models' samples are latents of; null where they are the data's own samples.
        latents: ``data`` with its settings where the autoencoder encodes the data, else empty: the stages of dvc.yaml
            that a run on latents has besides are made for each entry.
        trained_on: Folder below data/ that models of the data learn: ``images`` (or points), or their ``latents``.
        flows: Models trained on the data itself, besides the teacher.
        couplings: Pairs of noise and sample, each along the ODE of the teacher, a flow or a student.
        students: Models trained on couplings.
        headline: The student that the run is made for.
    """

    name: ModelName
    launch: LaunchConfig
    compute: ComputeConfig
    data: DataConfig
    teacher: TeacherConfig
    features: FeaturesConfig
    flows: dict[ModelName, FlowConfig]
    couplings: dict[ModelName, CouplingsConfig]
    gate: GateConfig
    students: dict[ModelName, StudentConfig]
    headline: ModelName
    evaluate: EvaluateConfig
    watch: WatchConfig = WatchConfig()
    autoencoder: AutoencoderConfig | None = None
    latents: dict[Literal["data"], LatentsConfig] = Field(default_factory=dict)
    trained_on: Literal["images", "latents"] = "images"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of what models make: of a latent where there is an autoencoder, else of a sample of the data."""
        return self.data.sample_shape if self.latent_shape is None else self.latent_shape

    @property
    def latent_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of a latent; None where there is no autoencoder."""
        return None if self.autoencoder is None else self.autoencoder.latent_shape(self.data.image_shape)

    @property
    def promised_teacher(self) -> Promised:
        """What a pretrained teacher is said to be, with its autoencoder."""
        return self.teacher.promised.of_latents(self.autoencoder, self.data.channels)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models of the run."""
        return (TEACHER, *self.flows, *self.students)

    def cells_of(self, model: str) -> tuple[tuple[SolverConfig, int], ...]:
        """Solver and number of samples of every cell that ``model`` is measured at.

        Of the headline's student the steps that the headline compares have more samples, and so have the ODEs of a
        model that couplings were made by, which are measured whether they are among the configured solvers or not.
        Configured solvers that a student of two times has not are left out.
        """
        evaluate, solvers = self.evaluate, self.solvers_of(model)
        configured = evaluate.solvers(teacher=solvers == TEACHER_SOLVERS)
        if solvers == FLOW_MAP_SOLVERS:
            configured = tuple(solver for solver in configured if solver.solves_flow_maps)
        cells = dict.fromkeys(configured, evaluate.num_samples)
        if model == self.headline:
            steps = evaluate.headline.num_steps
            many = [SolverConfig(name="euler", num_steps=count) for count in steps]
        else:
            many = [item.solver for item in self.couplings.values() if item.source == model]
        return tuple((cells | dict.fromkeys(many, evaluate.headline.num_samples)).items())

    def drawn_of(self, model: str) -> DrawnTrajectories:
        """The trajectories of ``model`` that are drawn: along its ODE if it learned one, and by a student's few steps.

        A diffusion teacher has guidance where the couplings that were drawn from it have.
        """
        if model in self.students:
            method = self.students[model].method
            steps = STUDENT_STEPS if method.exact_steps is None else (method.exact_steps,)
            return DrawnTrajectories(isinstance(method, ReflowConfig), steps)
        if self.solvers_of(model) != TEACHER_SOLVERS:
            return DrawnTrajectories(True, STUDENT_STEPS)
        solvers = [item.solver for item in self.couplings.values() if item.source == model]
        return DrawnTrajectories(True, (), next((solver.guidance for solver in solvers), None))

    def solvers_of(self, model: str) -> tuple[str, ...]:
        """Names of the solvers that can sample ``model``: those of diffusion models, of flows or of flow maps."""
        if self.takes_two_times(model):
            return FLOW_MAP_SOLVERS
        return TEACHER_SOLVERS if model == TEACHER and not self.teacher.is_flow else STUDENT_SOLVERS

    def takes_two_times(self, model: str) -> bool:
        """Whether ``model`` takes the time that a step ends at as well."""
        return model in self.students and self.students[model].method.two_times

    @model_validator(mode="after")
    def _graph_is_sound(self) -> Config:
        problems = list(_graph_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def headline_of(config: Config) -> Headline:
    """The student that the run is made for, and its couplings."""
    taught = taught_features(config, config.headline)
    return Headline(config.headline, config.students[config.headline].couplings, taught)


def rounds_before(config: Config) -> dict[str, str]:
    """For couplings drawn from a student, by their name, the couplings that it learned."""
    return {
        name: config.students[couplings.source].couplings
        for name, couplings in config.couplings.items()
        if couplings.source in config.students
    }


def learns_mean_velocity(config: Config, model: str) -> bool:
    """Whether ``model`` should learn E[x_1 - x_0 | x_t] of independent pairs, which mixtures have in closed form.

    Plain flows do, and so does a diffusion teacher on the straight time axis; students of couplings do not.
    """
    flow = config.flows.get(model, config.teacher.flow if model == TEACHER else None)
    return model == TEACHER if flow is None else flow.is_plain


def _graph_problems(config: Config) -> Iterable[str]:
    """Yields what is wrong with the references between couplings, students and evaluation."""
    if not config.students:
        yield "students is empty; give at least one"
    yield from _name_problems(config)
    yield from _space_problems(config)
    yield from latents_problems(config, losses(config))
    yield from feasibility_problems(config)
    yield from _reference_problems(config)
    yield from _guidance_problems(config)
    yield from _classes_problems(config)
    yield from _states_problems(config)
    yield from two_times_problems(config)
    yield from following_problems(config)
    yield from feature_learning_problems(config)
    for name, couplings in config.couplings.items():
        allowed = config.solvers_of(couplings.source)
        used = {"solver": couplings.solver}
        if couplings.image_to_noise is not None:
            used["image_to_noise.solver"] = couplings.image_to_noise.solver
        for part, solver in used.items():
            if not (solver.solves_diffusion_models if allowed == TEACHER_SOLVERS else solver.solves_flows):
                yield (
                    f"couplings.{name}.{part} is {solver.name!r} on grid {solver.grid!r}, but source "
                    f"{couplings.source!r} takes one of {', '.join(allowed)} on its own grids"
                )
    for model in config.evaluate.models:
        if model not in config.models:
            yield f"evaluate.models names {model!r}{nearest(model, config.models)}"
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


def _guidance_problems(config: Config) -> Iterable[str]:
    """Yields guidance of what cannot be guided: students learn the guided map, and need none."""
    keys = {f"evaluate.{kind}_solvers": getattr(config.evaluate, f"{kind}_solvers") for kind in ("teacher", "student")}
    for name, couplings in config.couplings.items():
        inversion = couplings.image_to_noise
        keys[f"couplings.{name}.solver"] = (couplings.solver,)
        keys[f"couplings.{name}.image_to_noise.solver"] = () if inversion is None else (inversion.solver,)
    of_teacher = {f"couplings.{name}" for name, couplings in config.couplings.items() if couplings.source == TEACHER}
    for key, solvers in keys.items():
        guides = {solver.guidance.by for solver in solvers if solver.guidance is not None}
        if not guides:
            continue
        if key != "evaluate.teacher_solvers" and not any(key.startswith(f"{name}.") for name in of_teacher):
            yield f"{key} has guidance, which is of the teacher alone: students learn its guided samples; leave it out"
            continue
        if "guide" in guides and config.teacher.guide is None:
            yield (
                f"{key} has guidance by: guide, but there is none: name a smaller or earlier checkpoint of the teacher "
                "as teacher.guide"
            )
        if "null_class" in guides and not config.teacher.has_null_class:
            yield (
                f"{key} has guidance, which needs a class that stands for none: teacher.null_class of a pretrained "
                "one, teacher.label_dropout above 0 of one that is trained here"
            )


def _classes_problems(config: Config) -> Iterable[str]:
    """Yields classes to be drawn where no model has any; of a pretrained teacher that is known once it is read."""
    if config.evaluate.per_class and config.features.reference_split is None:
        yield "evaluate.per_class compares classes with images, and features.reference is a file; set per_class: false"
    if config.teacher.pretrained is not None or config.teacher.trains_classes:
        return
    if config.evaluate.per_class:
        yield "evaluate.per_class is true, but no model has classes; set teacher.label_dropout, or per_class: false"
    for name, couplings in config.couplings.items():
        if couplings.classes == "data":
            yield f"couplings.{name}.classes is data, but no model has classes; set teacher.label_dropout, or uniform"


def _reference_problems(config: Config) -> Iterable[str]:
    """Yields names of nothing, and couplings and students that wait for each other."""
    for name, couplings in config.couplings.items():
        if couplings.source not in config.models:
            yield f"couplings.{name}.source is {couplings.source!r}{nearest(couplings.source, config.models)}"
    for name, student in config.students.items():
        if student.couplings not in config.couplings:
            yield f"students.{name}.couplings is {student.couplings!r}{nearest(student.couplings, config.couplings)}"
        if student.init not in config.models:
            yield f"students.{name}.init is {student.init!r}{nearest(student.init, config.models)}"
    for name in config.gate.drift_allowed:
        if name not in config.couplings:
            yield f"gate.drift_allowed names {name!r}{nearest(name, config.couplings)}"
    if config.headline not in config.students:
        yield f"headline, the student that the run is made for, is {config.headline!r}" + nearest(
            config.headline, config.students
        )
    cycle = _cycle(config)
    if cycle:
        yield f"{' <- '.join(cycle)} is a cycle: each is made from the one after it; let one start from the teacher"


def _states_problems(config: Config) -> Iterable[str]:
    """Yields students that learn states which their couplings do not keep."""
    for name, student in config.students.items():
        learned = config.couplings.get(student.couplings)
        if student.method.needs_states and learned is not None and not learned.states:
            yield (
                f"students.{name}.method {student.method.name} learns the states between noise and image, which its "
                f"couplings do not keep; set couplings.{student.couplings}.states: true"
            )


def _name_problems(config: Config) -> Iterable[str]:
    """Yields names that share a folder with another name or are reserved; some disks ignore case.

    Couplings and models are in folders of their own, and may share names.
    """
    reserved = dict.fromkeys(RESERVED_MODEL_NAMES, f"a reserved name ({', '.join(RESERVED_MODEL_NAMES)})")
    yield from _doubles([*_keys("flows", config.flows), *_keys("students", config.students)], reserved)
    yield from _doubles(_keys("couplings", config.couplings), {})


def _keys(section: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """The dotted key of each name of a section, and the name."""
    return [(f"{section}.{name}", name) for name in names]


def _doubles(keys: Iterable[tuple[str, str]], reserved: Mapping[str, str]) -> Iterable[str]:
    taken = dict(reserved)
    for key, name in keys:
        if name.lower() in taken:
            yield f"{key}: on some disks that is the name of {taken[name.lower()]}; rename one"
        taken.setdefault(name.lower(), key)


def losses(config: Config) -> dict[str, LossConfig]:
    """Every loss that the run trains with, by its key."""
    found = {f"flows.{name}.loss": flow.loss for name, flow in config.flows.items()}
    found |= {f"students.{name}.loss": student.loss for name, student in config.students.items()}
    if config.teacher.trains_flow and config.teacher.flow is not None:
        found["teacher.flow.loss"] = config.teacher.flow.loss
    return found


def _space_problems(config: Config) -> Iterable[str]:
    """Yields settings that do not fit the kind of sample, image or point."""
    source, points = config.data.source, config.data.space == "points"
    if points != (config.teacher.mlp is not None):
        yield f"data.source {source!r} needs teacher.{'mlp' if points else 'unet'}, and null for the other"
    if points != (config.features.name == "points"):
        yield f"features.name must {'' if points else 'not '}be 'points' for data.source {source!r}"
    if points and config.watch.samples_every_steps is not None:
        yield "watch.samples_every_steps draws images; set it to null for points"
    trainings: dict[str, TrainingConfig] = {"teacher.train": config.teacher.train}
    trainings |= {f"flows.{name}": flow for name, flow in config.flows.items()}
    trainings |= {f"students.{name}": student for name, student in config.students.items()}
    for key, training in trainings.items():
        if points and training.horizontal_flips:
            yield f"{key}.horizontal_flips mirrors images; set it to false for points"
        if points and isinstance(training, StudentConfig) and training.dropout > 0:
            yield f"{key}.dropout is of residual blocks, which an mlp has not; set it to 0 for points"
    for name, couplings in config.couplings.items():
        if points and couplings.dtype == "uint8":
            yield f"couplings.{name}.dtype uint8 keeps [-1, 1] alone; give float32 or float16 for points"
    for key, loss in losses(config).items():
        if points and loss.name == "lpips_huber":
            yield f"{key} lpips_huber compares images; give l2 or pseudo_huber for points"
    flows = {f"flows.{name}": flow.noise for name, flow in config.flows.items()}
    if config.teacher.trains_flow and config.teacher.flow is not None:
        flows["teacher.flow"] = config.teacher.flow.noise
    for key, noise in flows.items():
        if noise != STANDARD_NOISE and not points:
            yield f"{key}.noise is not N(0, I), which is possible for points only"
        if noise.mean is not None and len(noise.mean) != config.data.sample_shape[0]:
            yield f"{key}.noise.mean has {len(noise.mean)} entries, points of {source!r} {config.data.sample_shape[0]}"


def _cycle(config: Config) -> list[str]:
    """Couplings and students that are each made from the next, the first one again at the end; empty without any."""
    made_from: dict[str, list[str]] = {
        f"couplings.{name}": [f"students.{couplings.source}"] for name, couplings in config.couplings.items()
    }
    for name, student in config.students.items():
        made_from[f"students.{name}"] = [f"couplings.{student.couplings}", f"students.{student.init}"]
    try:
        TopologicalSorter(made_from).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []
