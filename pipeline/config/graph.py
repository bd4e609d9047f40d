"""The whole configuration, and what follows from several of its sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from pipeline.config.autoencoder import AutoencoderConfig, LatentsConfig
from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.consistency import consistency_problems
from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.config.data import DataConfig
from pipeline.config.drawn_trajectories import STUDENT_STEPS, DrawnTrajectories
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.features import FeaturesConfig
from pipeline.config.flow import LossConfig
from pipeline.config.methods import ReflowConfig
from pipeline.config.model_names import TEACHER
from pipeline.config.pretrained import Promised
from pipeline.config.section import ModelName, Section
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.config.taught_features import taught_features
from pipeline.config.teacher import TeacherConfig
from pipeline.config.training import FlowConfig
from pipeline.config.watch import WatchConfig


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

    @property
    def losses(self) -> dict[str, LossConfig]:
        """Every loss that the run trains with, by its key."""
        found = {f"flows.{name}.loss": flow.loss for name, flow in self.flows.items()}
        found |= {f"students.{name}.loss": student.loss for name, student in self.students.items()}
        if self.teacher.trains_flow and self.teacher.flow is not None:
            found["teacher.flow.loss"] = self.teacher.flow.loss
        return found

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
    def _sections_go_together(self) -> Config:
        problems = list(consistency_problems(self))
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
