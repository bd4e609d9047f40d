"""What every section of the configuration is built from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from pipeline.system.errors import nearest

MOST = 2**53
"""Largest count: JSON readers and float64 hold integers exactly up to here."""
LARGEST_SEED = 2**64 - 1
"""Keys of the random generators have 64 bits."""
LONGEST_NAME = 64
"""Longest name in characters: files named after it stay below the 255 bytes that file systems allow."""

PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A whole one, as hexadecimal digits."""
LARGEST_FLOAT = 2.0**63
"""Largest number: its square is finite in float32, in which networks compute."""
SMALLEST_FLOAT = 2.0**-63
"""Smallest positive number: its square is one in float32, and not 0."""
UNIT_ROUNDOFF = 2.0**-24
"""Relative error of a number in float32: 1 - x is 1 there for a smaller x."""

PositiveFloat = Annotated[float, Field(ge=SMALLEST_FLOAT, le=LARGEST_FLOAT)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=LARGEST_FLOAT)]
FiniteFloat = Annotated[float, Field(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT)]
Tolerance = Annotated[float, Field(ge=UNIT_ROUNDOFF, le=1)]
"""Of a solver in float32, whose rounding is coarser than a smaller one; 1 is as large as a state."""
UnitFloat = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
CommandLine = Annotated[str, Field(pattern=r"^[^\n\x00]*[^\s\x00][^\n\x00]*$")]
PathText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""A path or a name on the hub; the system takes none with a zero byte."""


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused, and truth values where a field is one alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would take true for 1."""
        items = value if isinstance(value, list | tuple) else (value,)
        annotation = cls.model_fields[str(info.field_name)].annotation
        if any(isinstance(item, bool) for item in items) and not _takes_truth(annotation):
            raise ValueError(f"{value!r} is a truth value, which is none of what this takes")
        return value


def _takes_truth(annotation: Any) -> bool:
    """Whether a truth value is among what an annotation names, in a collection or a union too."""
    return annotation is bool or any(_takes_truth(part) for part in get_args(annotation))


def one_of(names: Collection[str]) -> AfterValidator:
    """Validates a string that must be one of ``names``; the error proposes the nearest."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r}{nearest(value, names)}")
        return value

    return AfterValidator(check)
