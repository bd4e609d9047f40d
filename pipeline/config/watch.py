"""How a training run is watched; nothing here changes its result."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pipeline.config.section import PositiveInt, Section
from pipeline.system.packages import require_package


def require_tracker(name: str) -> None:
    """Raises StraightflowError if the package of a tracker is not installed."""
    mend = "pip install -e '.[watch]', or take it out of watch.trackers"
    require_package(name, wanted_by="watch.trackers", mend=mend)


class WatchConfig(Section):
    """How a training run is watched, in ``watch/<model>/``.

    Attributes:
        trackers: ``tensorboard`` (``tensorboard --logdir watch``), ``dvclive`` (``dvc plots show``, ``dvc exp show``);
            both come with ``pip install -e '.[watch]'``.
        samples_every_steps: Steps between two grids of images drawn with the averaged weights from the same noises;
            null draws none.
        fid_every_steps: Steps between two FIDs of the averaged weights, sent to the trackers: of few images, always
            from the same noises, with the configured features and reference; null measures none.
        fid_num_samples: Images per FID.
    """

    trackers: tuple[Literal["tensorboard", "dvclive"], ...] = ()
    samples_every_steps: PositiveInt | None = None
    fid_every_steps: PositiveInt | None = None
    fid_num_samples: PositiveInt = 1000

    @model_validator(mode="after")
    def _fid_is_tracked(self) -> Self:
        if self.fid_every_steps is not None and not self.trackers:
            raise ValueError("fid_every_steps needs trackers to write to, as in watch.trackers: [tensorboard]")
        return self
