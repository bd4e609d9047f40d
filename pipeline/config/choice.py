"""A choice by name among functions of a registry, with exactly the parameters that function takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import model_validator

from pipeline.config.section import Section


class Choice(Section):
    """Base of the sections that pick one function by ``name``.

    A subclass declares ``name`` as a literal, one optional field per parameter, and in ``PARAMETERS`` which of them
    each name takes; the others must be absent or null.
    """

    PARAMETERS: ClassVar[Mapping[str, tuple[str, ...]]]
    name: str

    def parameters(self) -> dict[str, float]:
        """Keyword arguments of the chosen function."""
        return {key: getattr(self, key) for key in self.PARAMETERS[self.name]}

    @model_validator(mode="after")
    def _parameters_match_name(self) -> Choice:
        wanted = set(self.PARAMETERS[self.name])
        given = {key for key in type(self).model_fields if key != "name" and getattr(self, key) is not None}
        problems = [f"needs {key}" for key in sorted(wanted - given)]
        problems += [f"takes no {key} (set it to null)" for key in sorted(given - wanted)]
        if problems:
            raise ValueError(f"{self.name} {' and '.join(problems)}")
        return self
