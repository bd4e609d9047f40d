"""Points drawn once and kept like images: a training split and a held-out one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from pipeline.config.data import DataConfig, split_sizes
from pipeline.data.info import write_info
from pipeline.data.sample_set import is_sample_set
from pipeline.system.atomic import atomic_folder
from pipeline.toys.distributions import TOYS


def prepare_points(config: DataConfig, folder: Path) -> None:
    """Draws the configured points from ``config.seed`` and writes both splits to ``folder``, atomically.

    They are opened with :func:`pipeline.data.sample_set.open_samples`, float32 of shape (num, dim).
    """
    assert config.num_points is not None  # the configuration guarantees it
    points = TOYS[config.source].sample(config.num_points, torch.Generator().manual_seed(config.seed)).numpy()
    num_heldout = split_sizes(len(points), config.heldout_share)[1]
    splits = {"train": points[num_heldout:], "heldout": points[:num_heldout]}
    with atomic_folder(folder, ours=is_sample_set) as temporary:
        for name, values in splits.items():
            np.save(temporary / f"{name}_images.npy", values)
        info = {
            "source": config.source,
            "dim": points.shape[1],
            "num_train": len(splits["train"]),
            "num_heldout": num_heldout,
            "fingerprint": hashlib.sha256(points.tobytes()).hexdigest(),
        }
        write_info(temporary, info)
