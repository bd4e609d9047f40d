"""What is measured: models, solvers, step counts and numbers of samples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pipeline.config.guidance import GuidanceConfig
from pipeline.config.section import ModelName, PositiveInt, Section, Seed, Tolerance
from pipeline.config.solver import GridName, NumSteps, SolverConfig


class SweepSolverConfig(Section):
    """A solver that models are measured with; in YAML its bare name is enough.

    Attributes:
        name: Solver; see :class:`pipeline.config.solver.SolverConfig` for it, the next three and ``guidance``.
        grid: Times of the fixed steps.
        rtol: Relative tolerance of ``dopri5``.
        atol: Absolute tolerance of ``dopri5``.
        num_steps: Step counts; null takes ``evaluate.num_steps``.
        guidance: Of the teacher; null for none.
    """

    name: str
    grid: GridName | tuple[float, ...] = "uniform"
    rtol: Tolerance | None = None
    atol: Tolerance | None = None
    num_steps: Annotated[tuple[NumSteps, ...], Field(min_length=1)] | None = None
    guidance: GuidanceConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _solvers_are_valid(self) -> SweepSolverConfig:
        if self.num_steps is not None and (self.name == "dopri5" or isinstance(self.grid, tuple)):
            raise ValueError(f"solver {self.name} takes its steps from its tolerances or its grid; leave out num_steps")
        self.solvers((1,))
        return self

    def solvers(self, num_steps: tuple[int, ...]) -> tuple[SolverConfig, ...]:
        """One solver per step count, by default those of ``num_steps``; a single one if adaptive or on a given grid."""
        counts: tuple[int | None, ...] = self.num_steps or num_steps
        if self.name == "dopri5":
            counts = (None,)
        elif isinstance(self.grid, tuple):
            counts = (len(self.grid) - 1,)
        common = {name: getattr(self, name) for name in ("name", "grid", "rtol", "atol", "guidance")}
        return tuple(SolverConfig.model_validate({**common, "num_steps": count}) for count in counts)


class NeighboursConfig(Section):
    """Precision, recall, density, coverage and distances to training images.

    Attributes:
        num_samples: Generated and reference images to compare, as many of each; at most what there is.
        k: The ball around an image reaches to its k-th nearest neighbour.
    """

    num_samples: PositiveInt
    k: PositiveInt

    @model_validator(mode="after")
    def _enough_for_k(self) -> NeighboursConfig:
        if self.num_samples <= self.k:
            raise ValueError(f"neighbours.num_samples ({self.num_samples}) must be more than k ({self.k})")
        return self


class KernelDistanceConfig(Section):
    """KID, from all pairs of features.

    Attributes:
        num_samples: Generated and reference images to compare, as many of each; at most what there is. Its standard
            error falls with it.
    """

    num_samples: Annotated[int, Field(ge=3)]


class StraightnessConfig(Section):
    """How straightness is integrated: trajectories and Euler steps along them."""

    num_samples: PositiveInt
    num_steps: NumSteps


class HeadlineCellsConfig(Section):
    """The cells that the headline compares, measured on more samples than others.

    These are the headline's student, and the source of its couplings by the solver that made them. They are measured in
    two ways: as the mean over chunks of ``evaluate.num_samples``, to compare with other cells, and all at once.

    Attributes:
        num_steps: Step counts of the student.
        num_samples: Generated images, a multiple of ``evaluate.num_samples``.
    """

    num_steps: Annotated[tuple[NumSteps, ...], Field(min_length=1)]
    num_samples: PositiveInt


class EvaluateConfig(Section):
    """The few-step sweep.

    Attributes:
        models: Models measured, in the order of tables and figures.
        num_steps: Step counts.
        num_samples: Generated images per cell.
        headline: The cells that are measured on more.
        seed: Sample i's noise is a function of it and i; every cell shares the noise.
        batch_size: Images per network call, per process.
        teacher_solvers: Solvers the teacher is measured with.
        student_solvers: Solvers the students are measured with.
        neighbours: Settings of measures by nearest neighbours.
        kernel_distance: Settings of KID.
        straightness: Settings of the straightness integral.
        grid_images: Noises shown in the sample grids.
        per_class: Whether class-conditional models are also measured class by class, against the reference split's
            images of the class; ``num_samples`` are divided among the classes.
    """

    models: tuple[ModelName, ...]
    num_steps: tuple[NumSteps, ...]
    num_samples: PositiveInt
    headline: HeadlineCellsConfig
    seed: Seed
    batch_size: PositiveInt
    teacher_solvers: tuple[SweepSolverConfig, ...]
    student_solvers: tuple[SweepSolverConfig, ...]
    neighbours: NeighboursConfig
    kernel_distance: KernelDistanceConfig
    straightness: StraightnessConfig
    grid_images: PositiveInt
    per_class: Annotated[bool, Field(exclude_if=lambda wanted: not wanted)] = False

    @model_validator(mode="after")
    def _samples_suffice(self) -> EvaluateConfig:
        if self.grid_images > self.num_samples:
            raise ValueError(f"grid_images is {self.grid_images}, more than num_samples ({self.num_samples})")
        if self.headline.num_samples % self.num_samples:
            raise ValueError(
                f"headline.num_samples is {self.headline.num_samples}, no multiple of num_samples ({self.num_samples})"
            )
        return self

    def solvers(self, *, teacher: bool) -> tuple[SolverConfig, ...]:
        """Every cell's solver, for the teacher or for a student."""
        chosen = self.teacher_solvers if teacher else self.student_solvers
        return tuple(solver for item in chosen for solver in item.solvers(self.num_steps))
