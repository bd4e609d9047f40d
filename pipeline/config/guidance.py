"""Guidance of a teacher: by its class that stands for none, or by a weaker network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import PositiveFloat, Section, UnitFloat

GUIDED = "guided"
"""Part of the label of a solver, after which its guidance is named."""


GuidedBy = Literal["null_class", "guide"]


class GuidanceConfig(Section):
    """Classifier-free guidance (Ho & Salimans 2022) or autoguidance (Karras et al. 2024), see
    :mod:`pipeline.diffusion.guidance`.

    Each guided evaluation counts as two: one call with twice the batch, or one call of each of two networks.

    Attributes:
        scale: Weight w of v_away + w (v - v_away); 1 would be the teacher alone.
        interval: Times t, from 0 at noise to 1 at images, at which the teacher is guided; at others it is asked alone.
            The noise level of Kynkäänniemi et al. 2024 is (1 - t) / t.
        by: What the teacher is moved away from. ``null_class``: itself, asked for no class, which needs
            ``teacher.null_class``, ``teacher.label_dropout`` or ``teacher.prompts``. ``guide``: the weaker network that
            ``teacher.guide`` names, asked for the same class.
    """

    scale: PositiveFloat
    interval: tuple[UnitFloat, UnitFloat] = (0.0, 1.0)
    # Not part of what couplings by the null class are named by, so that they are found again.
    by: Annotated[GuidedBy, Field(exclude_if=lambda by: by == "null_class")] = "null_class"

    @model_validator(mode="after")
    def _changes_something(self) -> GuidanceConfig:
        if self.scale == 1:
            raise ValueError("guidance.scale 1 is the teacher alone, at twice the cost; leave guidance out")
        if self.interval[0] >= self.interval[1]:
            raise ValueError(f"guidance.interval must rise within [0, 1], found {list(self.interval)}")
        return self

    @property
    def is_everywhere(self) -> bool:
        """Whether every evaluation is guided."""
        return self.interval == (0.0, 1.0)

    @property
    def label(self) -> str:
        """Name in tables, after the solver's."""
        where = "" if self.is_everywhere else f"-{self.interval[0]:g}-{self.interval[1]:g}"
        network = "-by-guide" if self.by == "guide" else ""
        return f"{GUIDED}-{self.scale:g}{where}{network}"
