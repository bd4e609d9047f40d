"""What is said of a pretrained teacher, for `check` and for who adopts it to compare with its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Process = Literal["diffusion", "flow"]


@dataclass(frozen=True)
class Promised:
    """What the configuration says of a pretrained teacher.

    Attributes:
        process: ``diffusion`` or ``flow``.
        null_class: Class that stands for none; None where every class is one.
        prompts: Text file whose lines are its conditions; None for a model that reads no text.
    """

    process: Process = "diffusion"
    null_class: int | None = None
    prompts: str | None = None


NOTHING_SPECIAL = Promised()
