"""What every section of the configuration is built from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
UnitFloat = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
CommandLine = Annotated[str, Field(pattern=r"^[^\n]*\S[^\n]*$")]


class Section(BaseModel):
    """Base of every section: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def one_of(names: Collection[str]) -> AfterValidator:
    """Validates a string that must be one of ``names``; the error proposes the nearest."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r}{nearest(value, names)}")
        return value

    return AfterValidator(check)
