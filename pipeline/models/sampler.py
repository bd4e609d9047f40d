"""Saved models, teacher or student alike, as maps from noise to samples and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from pipeline.config.class_draw import ClassDraw
from pipeline.config.guidance import GuidanceConfig
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.data.space import LATENTS, Space, space_of_shape
from pipeline.diffusion.guidance import Guidance
from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.diffusion.state_times import state_times
from pipeline.diffusion.teacher import Teacher, generate
from pipeline.flow.noise import sample_labels, sample_noise
from pipeline.flow.solvers import Field, MeanField, Solution, flow_map_euler, solve, time_grid
from pipeline.flow.states import StepStarts
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.accepted_guide import guide_folder
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher
from pipeline.models.autoencoder import Autoencoder, open_autoencoder
from pipeline.models.class_counts import class_counts
from pipeline.models.counted import CodingCalls, CountedGuide, CountedNetwork, NetworkCalls
from pipeline.models.flops import FlopsPerSample, forward_flops
from pipeline.models.inversion import invert_student, invert_teacher
from pipeline.models.networks import noise_of
from pipeline.models.opening import open_guide, open_model
from pipeline.models.runtime import Runtime
from pipeline.models.student import guided_velocity, predict_mean_velocity, predict_velocity
from pipeline.system.compute import NOTHING, Compute
from pipeline.system.copies import on_device
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder


@dataclass(frozen=True)
class Sampler:
    """A saved model as a map from noise to image.

    Attributes:
        shape: (channels, height, width) of its images or latents, (dim,) of its points.
        fingerprint: Of the saved folder, with its autoencoder.
        noise_schedule: Forward process of a teacher; None for a student.
        network: As placed.
        runtime: What it runs on.
        noise: Distribution of x_0.
        num_classes: Classes of a class-conditional model; None for others.
        calls: Samples that this process sent through the network so far.
        null_class: Of its classes, the one that stands for none and is never drawn; None where there is none such.
        two_times: Whether it is a flow map, which takes the time that a step ends at as well.
        class_counts: How often each class that may be asked for is drawn, as a share of their sum: as in the data that
            it was made from, which is what a distance to the data takes for granted. None for all alike.
        autoencoder: What decodes its samples; None where they are what is meant.
        guide: The weaker network of the same process that it may be guided by, as placed; None where there is none.
    """

    shape: tuple[int, ...]
    fingerprint: str
    noise_schedule: NoiseSchedule | None
    network: torch.nn.Module
    runtime: Runtime
    noise: NoiseConfig = STANDARD_NOISE
    num_classes: int | None = None
    calls: NetworkCalls = field(default_factory=NetworkCalls, compare=False)
    null_class: int | None = None
    two_times: bool = False
    class_counts: tuple[int, ...] | None = None
    autoencoder: Autoencoder | None = None
    guide: torch.nn.Module | None = None

    @property
    def space(self) -> Space:
        """What its samples are."""
        return space_of_shape(self.shape) if self.autoencoder is None else LATENTS

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of what :meth:`to_pixels` returns of one sample."""
        return self.shape if self.autoencoder is None else self.autoencoder.image_shape

    def to_pixels(self, x: torch.Tensor) -> torch.Tensor:
        """Images of samples, (batch, …) of :attr:`image_shape`, not clipped; pixels and points are their own."""
        return x if self.decode is None else self.decode(x)

    @property
    def decode(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """What :meth:`to_pixels` calls; None where samples are images or points themselves."""
        return None if self.autoencoder is None else self.autoencoder.decode

    @torch.inference_mode()
    def sample(
        self,
        x_0: torch.Tensor,
        solver: SolverConfig,
        labels: torch.Tensor | None = None,
        *,
        keep_states: bool = False,
    ) -> Solution:
        """Solves the model's ODE from ``x_0``, for ``labels`` if it is class-conditional; images are not clipped.

        A flow map takes its own steps along the solver's times. With ``keep_states`` the solution has the states at
        :meth:`state_times` as well.

        Raises:
            StraightflowError: If the solver is for models of the other kind, or has no states to keep, or labels are
                missing or too many, or guidance is asked of a model without a null class or without a guide.
        """
        self._require_solver(solver)
        starts = StepStarts(solver) if keep_states else None
        # Copied in inference mode, as all later states are: other tensors would make a compiled network compile again.
        x_0, labels = x_0.to(self.runtime.device, copy=True), self._placed(labels)
        with self.runtime.autocast():
            if self.noise_schedule is not None:
                guidance = self._guidance(solver.guidance)
                solution = generate(self._counted, self.noise_schedule, x_0, solver, labels, guidance, starts=starts)
            elif self.two_times:
                solution = flow_map_euler(self.mean_velocity, x_0, time_grid(solver))
            else:
                before, velocity = self.calls.copy(), self.velocity_field(labels, solver.guidance)
                solution = solve(velocity if starts is None else starts.of_field(velocity), x_0, solver)
                solution = self._evaluations(solution, before)
        return solution if starts is None else replace(solution, states=starts.states())

    def state_times(self, solver: SolverConfig) -> tuple[float, ...]:
        """Straight-line times of the states that :meth:`sample` keeps of a solver of fixed steps, rising, in (0, 1)."""
        return state_times(solver, self.noise_schedule)

    @torch.inference_mode()
    def invert(
        self, x_1: torch.Tensor, image_noise: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None
    ) -> Solution:
        """Solves the model's ODE from images ``x_1`` to noise; see :mod:`pipeline.models.inversion`.

        Raises:
            StraightflowError: As :meth:`sample`; or if the model is a flow map, whose steps lead to images alone.
        """
        self._require_solver(solver)
        if self.two_times:
            raise StraightflowError(
                expected="a model of one time to invert images with",
                found="a flow map, which takes the time that a step ends at as well",
                mend="name the teacher, a flow or a student of one time",
            )
        x_1, image_noise = (tensor.to(self.runtime.device, copy=True) for tensor in (x_1, image_noise))
        labels = self._placed(labels)
        with self.runtime.autocast():
            if self.noise_schedule is not None:
                guidance = self._guidance(solver.guidance)
                return invert_teacher(self._counted, self.noise_schedule, x_1, image_noise, solver, labels, guidance)
            before, velocity = self.calls.copy(), self.velocity_field(labels, solver.guidance)
            return self._evaluations(invert_student(velocity, x_1, image_noise, solver), before)

    def labels(self, key: int, indices: Iterable[int]) -> torch.Tensor | None:
        """Classes drawn for the noise of these indices, (len(indices),); None if the model has none."""
        if self.num_conditions is None:
            return None
        return sample_labels(key, indices, self.num_conditions, self.class_counts)

    def drawing(self, classes: ClassDraw) -> Sampler:
        """The same model with its classes drawn as told.

        Raises:
            StraightflowError: If they are to be drawn as in the data, and it was not saved with what that is.
        """
        if classes == "data" and self.class_counts is None:
            raise StraightflowError(
                expected="a class-conditional model that was made from labelled data of its classes, for classes: data",
                found="an unconditional one" if self.num_classes is None else "one that does not say how often each is",
                mend="set classes: uniform, or train the model on data with labels",
            )
        return self if classes == "data" else replace(self, class_counts=None)

    def of_class(self, index: int) -> Sampler:
        """The same model with one class drawn alone.

        Raises:
            StraightflowError: If it has no such class, or that is the one that stands for none.
        """
        conditions = self.num_conditions
        if conditions is None:
            raise StraightflowError(
                expected="no class, as the model is unconditional", found=str(index), mend="leave the class out"
            )
        if not 0 <= index < conditions:
            stands_for_none = " (which stands for none)" if index == self.null_class else ""
            raise StraightflowError(
                expected=f"a class from 0 to {conditions - 1}, as the model has them",
                found=f"{index}{stands_for_none}",
                mend="choose one of these",
            )
        return replace(self, class_counts=tuple(int(at == index) for at in range(conditions)))

    @property
    def num_conditions(self) -> int | None:
        """Classes that may be asked for: all but the null class, which is the last; None of an unconditional model."""
        return self.num_classes if self.null_class is None else self.null_class

    def draw(self, key: int, indices: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Noise x_0 of these indices, and the classes that go with it."""
        indices = list(indices)
        return sample_noise(key, indices, self.shape, self.noise), self.labels(key, indices)

    def velocity_field(self, labels: torch.Tensor | None = None, guided: GuidanceConfig | None = None) -> Field:
        """dx_t/dt of the model's ODE, on the rectified-flow time axis for teachers as well.

        A flow map's is the mean velocity of a step of no length.
        """
        labels, guidance = self._placed(labels), self._guidance(guided)
        if self.noise_schedule is not None:
            return Teacher(self._counted, self.noise_schedule, labels, guidance).velocity
        if self.two_times:
            mean_velocity = self.mean_velocity
            return lambda x_t, t: mean_velocity(x_t, t, t)
        network = self._counted
        if guidance is not None:
            return lambda x_t, t: guided_velocity(network, x_t, t, labels, guidance)
        return lambda x_t, t: predict_velocity(network, x_t, t, labels)

    @property
    def mean_velocity(self) -> MeanField:
        """Mean velocity from t to the end of a step, of a flow map."""
        network = self._counted
        return lambda x_t, t, end: predict_mean_velocity(network, x_t, t, end)

    def _guidance(self, config: GuidanceConfig | None) -> Guidance | None:
        if config is None:
            return None
        problem = self.guidance_problem(config)
        if problem is not None:
            raise StraightflowError(
                expected=f"a model that can be guided by what guidance names, {config.by}",
                found=problem,
                mend="leave guidance out; for null_class set teacher.null_class to the class that stands for none, or "
                "train a teacher with label_dropout; for guide name one as teacher.guide",
            )
        if config.by == "null_class":
            assert self.null_class is not None  # no problem
            return Guidance(config, self.null_class)
        assert self.guide is not None  # no problem
        return Guidance(config, CountedGuide(self.guide, self.calls))

    def guidance_problem(self, config: GuidanceConfig) -> str | None:
        """What it lacks to be guided so; None if nothing."""
        if config.by == "guide":
            return "no guide" if self.guide is None else None
        if self.null_class is not None:
            return None
        return "no classes" if self.num_classes is None else "no null class"

    def _evaluations(self, solution: Solution, before: NetworkCalls) -> Solution:
        """A flow's solution with its evaluations by the rows that the network got: a guided velocity takes two."""
        return replace(solution, nfe=(self.calls - before).forward // len(solution.x))

    def _require_solver(self, solver: SolverConfig) -> None:
        """The configuration says what a model is, but a folder may hold another."""
        solvers: tuple[str, ...]
        kind, solvers, fits = "flow", STUDENT_SOLVERS, solver.solves_flows
        if self.noise_schedule is not None:
            kind, solvers, fits = "diffusion model", TEACHER_SOLVERS, solver.solves_diffusion_models
        elif self.two_times:
            kind, solvers, fits = "flow map", FLOW_MAP_SOLVERS, solver.solves_flow_maps
        if not fits:
            raise StraightflowError(
                expected=f"one of {', '.join(solvers)} on a grid of theirs, as the model is a {kind} by its "
                "scheduler_config.json",
                found=f"{solver.name} on grid {solver.grid}",
                mend="configure one of them, or put the model there that the configuration describes",
            )

    def _placed(self, labels: torch.Tensor | None) -> torch.Tensor | None:
        if (labels is None) != (self.num_classes is None):
            raise StraightflowError(
                expected="no labels" if self.num_classes is None else f"labels of {self.num_classes} classes",
                found="labels" if labels is not None else "none",
                mend="use couplings and models that are all class-conditional, or none",
            )
        return None if labels is None else on_device(labels, self.runtime.device)

    def trajectory_start(self, x_0: torch.Tensor) -> torch.Tensor:
        """The state of :meth:`velocity_field`'s trajectory from noise ``x_0`` at the start of :meth:`time_range`.

        A student's is the noise itself. A teacher starts from noise of its schedule's scale, which straight-line time
        divides by alpha + sigma of the noisiest level: above 1 where that level still holds some of the image.
        """
        return x_0 if self.noise_schedule is None else self.noise_schedule.initial_straight_scale * x_0

    @property
    def _counted(self) -> CountedNetwork:
        return CountedNetwork(self.network, self.calls)

    @cached_property
    def flops_per_sample(self) -> FlopsPerSample:
        """FLOPs of the network's forward pass, and of its guide's."""
        own = forward_flops(self.network, self.shape, self.num_classes, two_times=self.two_times)
        guide = 0 if self.guide is None else forward_flops(self.guide, self.shape, self.num_classes)
        return FlopsPerSample(own, backward=0, guide=guide)

    def compute(self, since: NetworkCalls, seconds: float) -> Compute:
        """What this process computed since a copy of ``calls`` was taken, in this time."""
        return self.flops_per_sample.compute(self.calls - since, seconds)

    @property
    def decoded(self) -> CodingCalls:
        """A copy of what its autoencoder encoded and decoded so far; nothing where it has none."""
        return CodingCalls() if self.autoencoder is None else self.autoencoder.calls.copy()

    def decoding(self, since: CodingCalls, seconds: float) -> Compute:
        """What its autoencoder computed since :attr:`decoded` was taken, in this time; nothing where it has none."""
        return NOTHING if self.autoencoder is None else self.autoencoder.compute(since, seconds)

    def time_range(self) -> tuple[float, float]:
        """Times between which :meth:`velocity_field` is defined."""
        if self.noise_schedule is not None:
            return self.noise_schedule.time_range
        return 0.0, 1.0


def load_sampler(folder: Path, runtime: Runtime) -> Sampler:
    """Opens ``folder`` as teacher or student, told apart by its scheduler.

    Raises:
        StraightflowError: If it can be neither; see :func:`pipeline.models.opening.open_model`.
    """
    accepted, network = open_model(folder)
    return Sampler(
        shape=accepted.shape,
        fingerprint=fingerprint_folder(folder),
        noise_schedule=accepted.noise_schedule if isinstance(accepted, AcceptedTeacher) else None,
        network=runtime.place(network),
        runtime=runtime,
        noise=noise_of(network),
        num_classes=accepted.num_classes,
        null_class=accepted.null_class,
        two_times=isinstance(accepted, AcceptedFlow) and accepted.two_times,
        class_counts=class_counts(network),
        autoencoder=None if autoencoder_folder(folder) is None else open_autoencoder(folder, runtime, accepted.shape),
        guide=None if guide_folder(folder) is None else runtime.place(open_guide(folder, accepted)),
    )
