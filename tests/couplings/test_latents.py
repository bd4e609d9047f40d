"""Stores of latents: what they say of themselves, what they cost, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings
from helpers.small_autoencoder import with_autoencoder
from helpers.small_unet import small_unet

from pipeline.config.couplings import GateConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.recount import require_true_manifest
from pipeline.couplings.store import CouplingStore
from pipeline.data.space import LATENTS
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from stages.commands.inspect import describe

GATE = GateConfig(max_clipped_fraction=0.0, max_reintegration_error=0.01, reintegrated_pairs=10)


def latent_student(folder: Path, runtime: Runtime, *, channels: int = 2, side: int = 4) -> Sampler:
    network = small_unet(channels, sample_size=side)
    save_student(network, folder, with_autoencoder(folder.parent / "autoencoder", latent_channels=channels))
    return load_sampler(folder, runtime)


@pytest.fixture
def source(runtime, tmp_path) -> Sampler:
    return latent_student(tmp_path / "student", runtime)


def store_of(source: Sampler, folder: Path, **changes: object) -> CouplingStore:
    generate_couplings(source, couplings(dtype="float16", **changes), folder / "runs", folder / "store")
    return CouplingStore(folder / "store")


def test_latents_are_stored_in_float16_unclipped_with_the_error_that_this_makes(source, tmp_path) -> None:
    store = store_of(source, tmp_path)
    manifest = store.manifest
    assert (manifest.samples, manifest.space, manifest.shape) == ("latents", LATENTS, (2, 4, 4))
    assert manifest.clipped_fraction == 0

    pairs = store.load(np.arange(len(store)))
    solved = source.sample(pairs["x_0"], manifest.solver).x
    assert solved.abs().max() > 1.05
    assert torch.equal(pairs["x_1"], solved.half().float())
    for number, shard in enumerate(manifest.shards):
        rows = slice(20 * number, 20 * number + shard.num_pairs)
        error = (solved[rows].half().float() - solved[rows]).square().mean().sqrt()
        assert shard.storage_error == pytest.approx(float(error), rel=1e-4)

    check_couplings(store, couplings(dtype="float16"), GATE, source)
    require_true_manifest(store)
    said = describe(manifest)
    assert said["latents"] == "2×4×4 float16"
    assert said["stored with"] == f"RMS error {manifest.storage_error:.1e}"
    assert "clipped" not in said


def test_a_pair_of_latents_costs_two_bytes_an_entry(runtime, tmp_path) -> None:
    """At 256², 4×32×32 entries: 8 kB instead of the 197 kB of 3×256×256 pixels."""
    source = latent_student(tmp_path / "student", runtime, channels=4, side=8)
    store_of(source, tmp_path, num_pairs=600, shard_pairs=300, batch_size=300)
    size = sum(path.stat().st_size for path in (tmp_path / "store").iterdir())
    assert size / 600 <= 1.02 * 2 * 4 * 8 * 8


def test_eight_bits_are_refused(source, tmp_path) -> None:
    with pytest.raises(StraightflowError, match="write dtype: float16"):
        generate_couplings(source, couplings(dtype="uint8"), tmp_path / "runs", tmp_path / "store")


def test_stores_of_pixels_say_nothing_of_latents(runtime, tmp_path) -> None:
    save_student(small_unet(), tmp_path / "student")
    store = store_of(load_sampler(tmp_path / "student", runtime), tmp_path)
    content = json.loads((store.folder / "manifest.json").read_text())
    assert "samples" not in content
    assert all("storage_error" not in shard for shard in content["shards"])


def test_the_gate_refuses_latents_of_a_model_that_makes_images(source, runtime, tmp_path) -> None:
    store = store_of(source, tmp_path)
    save_student(small_unet(2, sample_size=4), tmp_path / "pixels")
    with pytest.raises(StraightflowError, match="latents, but round1 makes images"):
        check_couplings(store, couplings(dtype="float16"), GATE, load_sampler(tmp_path / "pixels", runtime))


@pytest.mark.parametrize("changes", [{"samples": None}, {"dtype": "uint8"}, {"samples": "points"}])
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, object], source, tmp_path) -> None:
    store = store_of(source, tmp_path)
    path = store.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StraightflowError, match=r"latents|samples"):
        CouplingStore(store.folder)
