"""How a velocity is regressed: path, times, loss, weighting, coupling with the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.section import (
    SMALLEST_FLOAT,
    UNIT_ROUNDOFF,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Section,
    UnitFloat,
    one_of,
)
from pipeline.system.errors import nearest
from pipeline.system.packages import require_package

LARGEST_C = 2.0**47
"""The loss adds c² d to squares in float32, which stays finite up to d = 2**33 entries a sample."""
LARGEST_STEEPNESS = 1 / UNIT_ROUNDOFF
"""A density that falls off more steeply from t = 1 is one time in float32; ``fixed`` says so."""
LARGEST_LOGIT = 16.0
"""The sigmoid of larger logits is 1 in float32."""

WEIGHTINGS = ("uniform", "cosmap", "image_error")


class Choice(Section):
    """Base of the sections that pick one function by ``name``.

    A subclass declares one optional field per parameter. Its ``PARAMETERS`` lists the valid names and the fields that
    each takes; all other fields must be absent or null.
    """

    PARAMETERS: ClassVar[Mapping[str, tuple[str, ...]]]
    name: str

    def parameters(self) -> dict[str, float]:
        """Keyword arguments of the chosen function."""
        return {key: getattr(self, key) for key in self.PARAMETERS[self.name]}

    @field_validator("name")
    @classmethod
    def _name_exists(cls, name: str) -> str:
        if name not in cls.PARAMETERS:
            raise ValueError(f"{name!r}{nearest(name, cls.PARAMETERS)}")
        return name

    @model_validator(mode="after")
    def _parameters_match_name(self) -> Choice:
        wanted = set(self.PARAMETERS[self.name])
        given = {key for key in type(self).model_fields if key != "name" and getattr(self, key) is not None}
        problems = [f"needs {key}" for key in sorted(wanted - given)]
        problems += [f"takes no {key} (set it to null)" for key in sorted(given - wanted)]
        if problems:
            raise ValueError(f"{self.name} {' and '.join(problems)}")
        return self


class LossConfig(Choice):
    """Regression loss on velocities, see :mod:`pipeline.flow.losses`.

    Attributes:
        name: ``l2``, ``pseudo_huber``, or ``lpips_huber``: t · pseudo-Huber / sqrt(d) + LPIPS / (1 - t) (Lee et al.
            2024, published code), which needs the package lpips; at t = 0 it is LPIPS alone.
        c: Pseudo-Huber constant as a multiple of sqrt(d), d = C·H·W. Song & Dhariwal 2023 use 0.00054;
            the 0.00054·d of Lee et al. 2024 is 0.00054·sqrt(d) here, 0.03 for 3×32×32.
    """

    PARAMETERS: ClassVar = {"l2": (), "pseudo_huber": ("c",), "lpips_huber": ("c",)}
    c: Annotated[float, Field(ge=SMALLEST_FLOAT, le=LARGEST_C)] | None = None


def require_lpips() -> None:
    """Raises StraightflowError if the package that ``lpips_huber`` needs is not installed."""
    mend = "pip install -e '.[lpips]', or choose loss pseudo_huber"
    require_package("lpips", wanted_by="loss lpips_huber", mend=mend)


class TimestepsConfig(Choice):
    """Distribution of t while training, see :mod:`pipeline.flow.timesteps`.

    Attributes:
        name: ``uniform``, ``u_shaped``, ``exponential``, ``logit_normal`` or ``fixed``.
        a: Steepness of ``u_shaped`` (> 0; Lee et al. 2024 use 4) and ``exponential`` (negative: most mass at noise,
            t = 0; positive: at images, t = 1).
        mean: Mean of the logit of t, for ``logit_normal``.
        std: Its standard deviation.
        t: The only time of ``fixed``.
    """

    PARAMETERS: ClassVar = {
        "uniform": (),
        "u_shaped": ("a",),
        "exponential": ("a",),
        "logit_normal": ("mean", "std"),
        "fixed": ("t",),
    }
    a: FiniteFloat | None = None
    mean: FiniteFloat | None = None
    std: PositiveFloat | None = None
    t: UnitFloat | None = None

    @model_validator(mode="after")
    def _steepness_is_possible(self) -> TimestepsConfig:
        if self.a is not None and not SMALLEST_FLOAT <= abs(self.a) <= LARGEST_STEEPNESS and self.a != 0:
            raise ValueError(
                f"{self.name} with a = {self.a}: between {SMALLEST_FLOAT:.3g} and {LARGEST_STEEPNESS:.3g} in size its "
                "times can be told apart in float32; give name: uniform, or fixed"
            )
        if self.mean is not None and abs(self.mean) > LARGEST_LOGIT:
            raise ValueError(
                f"{self.name} with mean {self.mean}: beyond {LARGEST_LOGIT:g} in size most times round to one end"
            )
        if self.a is not None and (self.a == 0 or (self.a < 0 and self.name == "u_shaped")):
            raise ValueError(f"{self.name} with a = {self.a}: give another a, or name: uniform")
        return self


class PathConfig(Choice):
    """Path between noise and image while training, see :mod:`pipeline.flow.paths`.

    Attributes:
        name: ``linear``, the rectified flow's, or ``conditional_ot``.
        sigma_min: Scale of the noise that ``conditional_ot`` leaves in images (Lipman et al. 2023).
    """

    PARAMETERS: ClassVar = {"linear": (), "conditional_ot": ("sigma_min",)}
    sigma_min: Probability | None = None


class RegressionConfig(Section):
    """Where a velocity is regressed.

    Attributes:
        timesteps: Distribution of t.
        weighting: Weight of the loss by t, see :mod:`pipeline.flow.losses`.
        path: Path between noise and image.
    """

    timesteps: TimestepsConfig
    weighting: Annotated[str, one_of(WEIGHTINGS)] = "uniform"
    path: PathConfig = PathConfig(name="linear")


class VelocityConfig(RegressionConfig):
    """Regression of a velocity.

    Attributes:
        loss: Regression loss.
    """

    loss: LossConfig


class FlowMatchingConfig(VelocityConfig):
    """Flow matching from data: a first flow that needs no teacher.

    Attributes:
        coupling: ``independent`` noise, or ``minibatch_ot``: within a step's batch noise and images are paired so that
            the sum of their squared distances is least (Pooladian et al. 2023, Tong et al. 2024).
        ot_batch_size: Rows of a batch that ``minibatch_ot`` pairs among each other, from the first row on. Its cost
            grows with their cube, and processes divide such groups among them.
        noise: Distribution of x_0.
    """

    coupling: Literal["independent", "minibatch_ot"]
    ot_batch_size: PositiveInt = 128
    noise: NoiseConfig = STANDARD_NOISE

    @property
    def is_plain(self) -> bool:
        """Whether E[x_1 - x_0 | x_t] of independent pairs minimises the loss: straight lines, squared error."""
        return self.coupling == "independent" and self.path.name == "linear" and self.loss.name == "l2"
