"""How a training run is watched; nothing here changes what it ends with."""

from __future__ import annotations

from typing import Literal

from pipeline.config.section import PositiveInt, Section


class WatchConfig(Section):
    """How a training run is watched, in ``watch/<model>/``.

    Attributes:
        trackers: ``tensorboard`` (``tensorboard --logdir watch``), ``dvclive`` (``dvc plots show``, ``dvc exp show``);
            both come with ``pip install -e '.[watch]'``.
        samples_every_steps: Steps between two grids of images drawn with the averaged weights from the same noises;
            null draws none.
    """

    trackers: tuple[Literal["tensorboard", "dvclive"], ...] = ()
    samples_every_steps: PositiveInt | None = None
