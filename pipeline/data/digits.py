"""scikit-learn's 1,797 handwritten digits of 8×8."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.config.data import DataConfig
from pipeline.data.image_tables import ImageTable, ImageTables, wrong_split
from pipeline.data.labels import number_labels
from pipeline.system.errors import StraightflowError

COLUMNS = {"image_column": "image", "label_column": "label"}


def digits_tables(config: DataConfig) -> ImageTables:
    """The digits, grey values 0 to 16 spread over 0 to 255, with the digit as label.

    Raises:
        StraightflowError: If the configuration describes other images.
    """
    if (config.channels, config.resolution) != (1, 8):
        raise StraightflowError(
            expected="data.channels: 1 and data.resolution: 8 for data.source: digits",
            found=f"{config.channels} and {config.resolution}",
            mend="correct them, or name other images",
        )
    for key, column in COLUMNS.items():
        named = getattr(config, key)
        if named not in (None, column):
            raise StraightflowError(
                expected=f"data.{key}: null for data.source: digits", found=repr(named), mend="correct it"
            )
    if config.heldout_split is not None:
        raise wrong_split(config.heldout_split, [config.train_split])
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = np.rint(bundle.images * 255 / 16).astype(np.uint8)[:, None]

    def decode(rows: np.ndarray) -> Iterator[np.ndarray]:
        return iter(images[rows])

    labels = number_labels({config.train_split: bundle.target.tolist()}, lambda _, row: f"digit {row}")
    return ImageTables({config.train_split: ImageTable(len(images), np.arange(0), decode)}, labels)
