"""How a student learns its couplings: one section a method, told apart by ``name``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.flow import RegressionConfig, TimestepsConfig
from pipeline.config.section import PositiveInt, Section
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
    """

    two_times: ClassVar[bool] = False
    follows_init: ClassVar[bool] = False
    needs_states: ClassVar[bool] = False

    @property
    def network_calls(self) -> TrainingCalls:
        """For one training image."""
        return TrainingCalls(forward=1, backward=1)

    @property
    def exact_steps(self) -> int | None:
        """Euler steps that the student is for, if it knows the times of so many alone; None for any number."""
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
    ReflowConfig | FixedStepsConfig | AnyStepConfig | ProgressiveConfig | ConsistencyConfig,
    BeforeValidator(_chosen_by_name),
]
