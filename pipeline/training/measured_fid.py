"""The newest quick FID of a run, kept in a file for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.system.typed_content import NO_OTHER_KEYS

QUICK_FID = "quick_fid.json"


@dataclass(frozen=True)
class MeasuredFid:
    """Content of ``quick_fid.json``.

    Attributes:
        name: What it was measured with, see :class:`pipeline.training.watching.QuickFid`.
        step: Steps done then.
        fid: The FID.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    name: str
    step: int
    fid: float
