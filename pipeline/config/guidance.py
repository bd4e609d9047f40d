"""Guidance of a class-conditional teacher."""

from __future__ import annotations

from pydantic import model_validator

from pipeline.config.section import PositiveFloat, Section, UnitFloat

GUIDED = "guided"
"""Part of the label of a solver, after which its guidance is named."""


class GuidanceConfig(Section):
    """Classifier-free guidance (Ho & Salimans 2022), see :mod:`pipeline.diffusion.guidance`.

    It needs ``teacher.null_class`` or ``teacher.label_dropout``. Each guided evaluation is one call with twice the
    batch, and counts as two.

    Attributes:
        scale: Weight w of v_null + w (v_class - v_null); 1 would be the class alone.
        interval: Times t, from 0 at noise to 1 at images, at which the teacher is guided; at others it is asked for the
            class alone. The noise level of Kynkäänniemi et al. 2024 is (1 - t) / t.
    """

    scale: PositiveFloat
    interval: tuple[UnitFloat, UnitFloat] = (0.0, 1.0)

    @model_validator(mode="after")
    def _changes_something(self) -> GuidanceConfig:
        if self.scale == 1:
            raise ValueError("guidance.scale 1 is the class alone, at twice the cost; leave guidance out")
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
        return f"{GUIDED}-{self.scale:g}{where}"
