"""How a student learns its couplings: one section a method, told apart by ``name``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.flow import RegressionConfig, TimestepsConfig
from pipeline.config.section import PositiveFloat, PositiveInt, Section
from pipeline.config.solver import NumSteps
from pipeline.system.errors import nearest

LARGEST_SHRINKAGE = 2**20
"""A step this much shorter than the first is still some float32 numbers long."""


@dataclass(frozen=True)
class TrainingCalls:
    """Network calls that a method makes for one training image, on average.

    Attributes:
        forward: Of the student, with and without gradient.
        backward: Of these, those with a gradient.
        of_init: Of the model that the student starts from, without gradient.
    """

    forward: float
    backward: float
    of_init: float = 0.0


class Method(Section):
    """What a run must know of a method to plan and to check it.

    Attributes:
        two_times: Whether the student takes the time that a step ends at beside the one that it starts at.
        follows_init: Whether the method calls the model that the student starts from, and learns its ODE.
        needs_states: Whether it learns the states that the couplings' solver went through, and not only its two ends.
        learns_features: Whether it descends a distance in the features of the network that measures it first.
    """

    two_times: ClassVar[bool] = False
    follows_init: ClassVar[bool] = False
    needs_states: ClassVar[bool] = False
    learns_features: ClassVar[bool] = False

    @property
    def network_calls(self) -> TrainingCalls:
        """For one training image."""
        return TrainingCalls(forward=1, backward=1)

    @property
    def heldout_calls(self) -> TrainingCalls:
        """For one held-out image, whose loss has no gradient."""
        calls = self.network_calls
        return TrainingCalls(forward=calls.forward, backward=0, of_init=calls.of_init)

    @property
    def exact_steps(self) -> int | None:
        """Euler steps that the student is for, if it knows the times of so many alone; None for any number."""
        return None

    def times_problem(self, state_times: Sequence[float]) -> str | None:
        """Why states at these rising times, in (0, 1), leave nothing to learn; None if they do, or are not needed."""
        del state_times
        return None


class ReflowConfig(RegressionConfig, Method):
    """Regression along the whole line, see :mod:`pipeline.methods.reflow`: a student that an ODE solver samples."""

    name: Literal["reflow"] = "reflow"


class FixedStepsConfig(Method):
    """Regression where each of some steps starts, see :mod:`pipeline.methods.fixed_steps`.

    Attributes:
        num_steps: Equal Euler steps that the student is for, and no other number.
    """

    name: Literal["fixed_steps"] = "fixed_steps"
    num_steps: NumSteps = 1

    @property
    def exact_steps(self) -> int:
        """As many as it is trained for."""
        return self.num_steps


class AnyStepConfig(Method):
    """Regression from the student's own states, see :mod:`pipeline.methods.any_step`: one student for any step count.

    Attributes:
        share_at_noise: Share of a batch at t = 0, which one step needs; the rest learns what further steps need.
        latest_time: The rest's times are uniform in [0, latest_time). Below 1, where no time is left to move in.
    """

    name: Literal["any_step"] = "any_step"
    share_at_noise: Annotated[float, Field(gt=0, le=1)] = 0.5
    latest_time: Annotated[float, Field(gt=0, lt=1)] = 0.95

    @property
    def network_calls(self) -> TrainingCalls:
        """One with a gradient, and the student's own first step for those that are not at noise."""
        return TrainingCalls(forward=2 - self.share_at_noise, backward=1)

    @property
    def heldout_calls(self) -> TrainingCalls:
        """Any rows may come, so the first step is made for all of them."""
        return TrainingCalls(forward=2, backward=0)


class FrechetConfig(AnyStepConfig):
    """Any step, and the Fréchet distance of one-step images, see :mod:`pipeline.methods.frechet`: for fine-tuning.

    Attributes:
        generated_per_pair: One-step images from fresh noise for each pair of a batch.
        weight: Of the distance's gradient with respect to the moments of a batch, beside the regression's.
        momentum: Of the running moments; they are of about 1 / (1 - momentum) batches.
    """

    learns_features: ClassVar[bool] = True
    name: Literal["frechet"] = "frechet"  # type: ignore[assignment]
    share_at_noise: Annotated[float, Field(gt=0, le=1)] = 0.75
    generated_per_pair: PositiveInt = 2
    weight: PositiveFloat = 1.25e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99

    @property
    def network_calls(self) -> TrainingCalls:
        """Any step's, and one with a gradient for each generated image."""
        calls = super().network_calls
        return TrainingCalls(calls.forward + self.generated_per_pair, calls.backward + self.generated_per_pair)

    def images_in_moments(self, batch_size: int) -> float:
        """About how many images the running moments are of."""
        return self.generated_per_pair * batch_size / (1 - self.momentum)


class CmtConfig(Method):
    """Regression from the solver's states, see :mod:`pipeline.methods.cmt`: one student for any step count.

    Attributes:
        share_at_noise: Share of samples at t = 0, which one step needs; the rest is at a state, each as likely.
        latest_time: States after it are not learned: the way that is left is divided by 1 - t.
    """

    needs_states: ClassVar[bool] = True
    name: Literal["cmt"] = "cmt"
    share_at_noise: Annotated[float, Field(gt=0, lt=1)] = 0.5
    latest_time: Annotated[float, Field(gt=0, lt=1)] = 0.95

    def times_problem(self, state_times: Sequence[float]) -> str | None:
        """If all come after the latest time."""
        if state_times and state_times[0] <= self.latest_time:
            return None
        first = f"the first at t = {state_times[0]:.4g}" if state_times else "there is none"
        return f"no state up to latest_time ({self.latest_time:g}), {first}; raise latest_time, or solve in more steps"


class MeanFlowConfig(Method):
    """Regression of the mean velocity by its identity, see :mod:`pipeline.methods.mean_flow`: a student of two times.

    Attributes:
        timesteps: Distribution of t, the time that a step starts at.
        share_of_velocity: Share of a batch whose steps have no length, which learns the velocity.
        share_to_image: Share of the others whose steps end at the image; the rest's ends are uniform in [t, 1).
        difference_step: Distance in t of the states between which the mean velocity's derivative is taken.
    """

    two_times: ClassVar[bool] = True
    name: Literal["mean_flow"] = "mean_flow"
    timesteps: TimestepsConfig = TimestepsConfig(name="u_shaped", a=4.0)
    share_of_velocity: Annotated[float, Field(ge=0, lt=1)] = 0.25
    share_to_image: Annotated[float, Field(ge=0, le=1)] = 0.25
    difference_step: Annotated[float, Field(ge=1e-4, le=0.25)] = 0.05

    @property
    def network_calls(self) -> TrainingCalls:
        """One with a gradient, and the two of a difference where steps have a length."""
        return TrainingCalls(forward=1 + 2 * (1 - self.share_of_velocity), backward=1)

    @property
    def heldout_calls(self) -> TrainingCalls:
        """Any rows may come, so the further calls are made for all of them."""
        return TrainingCalls(forward=3, backward=0)


class ShortcutConfig(Method):
    """Regression of a step from two half steps, see :mod:`pipeline.methods.shortcut`: a student of two times.

    Attributes:
        timesteps: Distribution of t for steps of no length, and for all if they are ``continuous``.
        share_of_velocity: Share of a batch whose steps have no length, which learns the velocity.
        share_of_pairs: Share of a batch that learns the whole step from noise to image from the pair.
        steps: Of the rest: ``halving``, 1, 1/2, …, 1/128 of the way, or ``continuous``, ends uniform in [t, 1).
    """

    two_times: ClassVar[bool] = True
    name: Literal["shortcut"] = "shortcut"
    timesteps: TimestepsConfig = TimestepsConfig(name="uniform")
    share_of_velocity: Annotated[float, Field(gt=0, lt=1)] = 0.5
    share_of_pairs: Annotated[float, Field(ge=0, lt=1)] = 0.25
    steps: Literal["halving", "continuous"] = "halving"

    @model_validator(mode="after")
    def _some_learn_from_the_student(self) -> ShortcutConfig:
        if self.share_of_velocity + self.share_of_pairs >= 1:
            raise ValueError(
                f"share_of_velocity ({self.share_of_velocity}) and share_of_pairs ({self.share_of_pairs}) must leave a "
                "share of the batch to learn from half steps; lower one"
            )
        return self

    @property
    def network_calls(self) -> TrainingCalls:
        """One with a gradient, and two half steps for those that learn from the student."""
        return TrainingCalls(forward=1 + 2 * (1 - self.share_of_velocity - self.share_of_pairs), backward=1)

    @property
    def heldout_calls(self) -> TrainingCalls:
        """Any rows may come, so the further calls are made for all of them."""
        return TrainingCalls(forward=3, backward=0)


class ProgressiveConfig(Method):
    """Two half steps of init as one, see :mod:`pipeline.methods.progressive`.

    Attributes:
        num_steps: Equal Euler steps that the student is for. A progressive init must be for twice as many.
    """

    follows_init: ClassVar[bool] = True
    name: Literal["progressive"] = "progressive"
    num_steps: NumSteps

    @property
    def network_calls(self) -> TrainingCalls:
        """One with a gradient, and init's two half steps."""
        return TrainingCalls(forward=1, backward=1, of_init=2)

    @property
    def exact_steps(self) -> int:
        """As many as it is trained for."""
        return self.num_steps


class ConsistencyConfig(Method):
    """The same image from all along init's ODE, see :mod:`pipeline.methods.consistency`: a student for any step count.

    Attributes:
        timesteps: Distribution of t. The default is ECT's: noise levels of which the logarithm is N(-1.1, 2²).
        ode_solver: Takes the step of init's ODE: ``heun`` or ``euler``.
        shrink: How many times shorter the step is in each further stage, at equal noise.
        num_stages: Stages of equal length that a training is divided into.
    """

    follows_init: ClassVar[bool] = True
    name: Literal["consistency"] = "consistency"
    timesteps: TimestepsConfig = TimestepsConfig(name="logit_normal", mean=1.1, std=2.0)
    ode_solver: Literal["heun", "euler"] = "heun"
    shrink: Annotated[float, Field(gt=1)] = 2.0
    num_stages: PositiveInt = 8

    @model_validator(mode="after")
    def _last_step_is_one(self) -> ConsistencyConfig:
        # Compared as logarithms, since the power may be no number.
        if self.num_stages * math.log(self.shrink) > math.log(LARGEST_SHRINKAGE):
            raise ValueError(
                f"shrink {self.shrink:g} over {self.num_stages} stages makes the last step more than "
                f"{LARGEST_SHRINKAGE:,} times shorter, which rounds to none in float32; lower one of them"
            )
        return self

    @property
    def network_calls(self) -> TrainingCalls:
        """One with a gradient and one at the next state, and init's step to it."""
        return TrainingCalls(forward=2, backward=1, of_init=2 if self.ode_solver == "heun" else 1)


METHODS: dict[str, type[Method]] = {
    "reflow": ReflowConfig,
    "fixed_steps": FixedStepsConfig,
    "any_step": AnyStepConfig,
    "frechet": FrechetConfig,
    "cmt": CmtConfig,
    "mean_flow": MeanFlowConfig,
    "shortcut": ShortcutConfig,
    "progressive": ProgressiveConfig,
    "consistency": ConsistencyConfig,
}
FORMER_NAMES = {"one_step": "fixed_steps"}


def _chosen_by_name(value: Any) -> Any:
    """The section that a mapping names, so that problems are those of its own keys, not of every method's.

    pydantic's own discriminator takes no fields that a validator sees first, as a section's do.
    """
    if isinstance(value, Section):
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        raise ValueError(f"{value!r} is no mapping with a name; give name: and one of {', '.join(METHODS)}")
    name = str(value["name"])
    if name in FORMER_NAMES:
        raise ValueError(f"name {name!r} is now {FORMER_NAMES[name]!r}; write that, the result is the same")
    if name not in METHODS:
        raise ValueError(f"name {name!r}{nearest(name, METHODS)}")
    section = METHODS[name]
    for key in value:
        if key not in section.model_fields:
            raise ValueError(f"{name} has a key {key!r}{nearest(str(key), section.model_fields)}")
    return section.model_validate(value)


MethodConfig = Annotated[
    ReflowConfig  # one a line
    | FixedStepsConfig
    | AnyStepConfig
    | FrechetConfig
    | CmtConfig
    | MeanFlowConfig
    | ShortcutConfig
    | ProgressiveConfig
    | ConsistencyConfig,
    BeforeValidator(_chosen_by_name),
]
