"""What is measured of the classes of a class-conditional model, one by one."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import NonNegativeFloat, NonNegativeInt, PositiveInt
from pipeline.metrics.row import SolverLabel
from pipeline.system.typed_content import NO_OTHER_KEYS

CLASS_GRID = "by_class"
"""Name of the grid in ``samples/<model>.safetensors``: uint8, (classes, columns, channels, height, width)."""


@dataclass(frozen=True)
class ClassFid:
    """Fréchet distance of samples of one class to the real images of this class, by the first features.

    Attributes:
        label: The class.
        num_samples: Generated images.
        num_reference: Real images of the class in the reference split.
        fid: Their distance, >= 0. It falls with either number, so that classes of unequal numbers do not compare.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    label: NonNegativeInt
    num_samples: PositiveInt
    num_reference: PositiveInt
    fid: NonNegativeFloat


@dataclass(frozen=True)
class ClassRecord:
    """The classes of one model, all sampled in one way.

    Attributes:
        solver: Solver of the ODE, as in tables.
        num_steps: Its steps; None for an adaptive one.
        shown: Classes in the grid, in the order of its rows.
        fids: By class; empty where ``evaluate.per_class`` does not ask for them.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    solver: SolverLabel
    num_steps: PositiveInt | None
    shown: tuple[NonNegativeInt, ...]
    fids: tuple[ClassFid, ...] = ()
