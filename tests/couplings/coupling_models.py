"""A small student and the couplings the tests of this folder draw from it."""

from __future__ import annotations

from pathlib import Path

from diffusers import UNet2DModel

from pipeline.compute import Runtime
from pipeline.config import CouplingsConfig, SolverConfig
from pipeline.models import Sampler, load_sampler
from pipeline.student import save_student

NUM_PAIRS = 50


def student_sampler(unet: UNet2DModel, runtime: Runtime, folder: Path) -> Sampler:
    """``unet`` saved as a student in ``folder`` and opened again."""
    save_student(unet, folder)
    return load_sampler(folder, runtime)


def couplings(**changes: object) -> CouplingsConfig:
    """Fifty pairs in shards of 20, 20 and 10."""
    values = {
        "source": "round1",
        "num_pairs": NUM_PAIRS,
        "solver": SolverConfig(name="euler", num_steps=2),
        "batch_size": 8,
        "shard_pairs": 20,
        "dtype": "uint8",
        "seed": 7,
    }
    return CouplingsConfig.model_validate(values | changes)
