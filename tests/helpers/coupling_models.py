"""A small student and the couplings that tests draw from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import ModelMixin

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.shard import write_shard
from pipeline.couplings.store import CouplingStore
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student

NUM_PAIRS = 50


def student_sampler(network: ModelMixin, runtime: Runtime, folder: Path) -> Sampler:
    """``network`` saved as a student in ``folder`` and opened again."""
    save_student(network, folder)
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


def rewrite_shard(store: Path, index: int, tensors: dict[str, torch.Tensor], **changes: object) -> None:
    """Replaces a shard and updates its record in the manifest, so that the two agree unless ``changes`` say otherwise.

    The transport cost of images that are not finite stays as it was.
    """
    path = store / "manifest.json"
    manifest = json.loads(path.read_text())
    record = manifest["shards"][index]
    record["sha256"] = write_shard(store / record["file"], tensors)
    record |= changes
    path.write_text(json.dumps(manifest))
    if set(tensors) <= {"images", "noise"} and tensors["images"].float().isfinite().all():
        first = index * manifest["shard_pairs"]
        pairs = CouplingStore(store).load_made(np.arange(first, first + record["num_pairs"]))
        record["transport_cost"] = float((pairs["x_1"] - pairs["x_0"]).square().mean())
        path.write_text(json.dumps(manifest))
