from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config import CouplingsConfig, SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_folder
from pipeline.models import Sampler, load_sampler
from pipeline.noise import sample_noise, stream_key
from pipeline.student import save_student


@pytest.fixture
def sampler(tiny_unet, runtime, tmp_path: Path) -> Sampler:
    save_student(tiny_unet, tmp_path / "student")
    return load_sampler(tmp_path / "student", runtime)


def couplings(batch_size: int = 8) -> CouplingsConfig:
    return CouplingsConfig(
        source="round1",
        num_pairs=50,
        solver=SolverConfig(name="euler", num_steps=2),
        batch_size=batch_size,
        shard_pairs=20,
        dtype="uint8",
        seed=7,
    )


def test_pairs_are_the_samplers_own(sampler: Sampler, tmp_path: Path) -> None:
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    indices = np.array([41, 3, 20])
    pair = store.load(indices)
    assert torch.equal(pair["x_0"], sample_noise(stream_key("couplings", 7), indices.tolist(), (1, 8, 8)))
    exact = sampler.sample(pair["x_0"], couplings().solver).x.clamp(-1, 1)
    assert (pair["x_1"] - exact).abs().max() <= 0.5 / 127.5 + 1e-4
    assert store.manifest.nfe_mean == 2


def test_images_agree_for_any_batch_size(sampler: Sampler, tmp_path: Path) -> None:
    for batch_size in (3, 50):
        generate_couplings(sampler, couplings(batch_size), tmp_path / "runs", tmp_path / str(batch_size))
    everything = np.arange(50)
    first, second = (CouplingStore(tmp_path / name).images(everything).int() for name in ("3", "50"))
    assert (first - second).abs().max() <= 1


class InterruptedRunError(Exception):
    pass


def test_an_interrupted_store_resumes_to_the_same_bytes(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "whole")
    original, calls = Sampler.sample, 0

    def dies_in_the_second_shard(self, x_0, solver):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise InterruptedRunError
        return original(self, x_0, solver)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "sample", dies_in_the_second_shard)
        with pytest.raises(InterruptedRunError):
            generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    calls = -1000
    monkeypatch.setattr(Sampler, "sample", dies_in_the_second_shard)
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "resumed")
    assert calls + 1000 == 3 + 2  # shards 1 and 2 in batches of 8; shard 0 was kept
    assert fingerprint_folder(tmp_path / "resumed") == fingerprint_folder(tmp_path / "whole")


def _flip_a_bit(store: Path) -> None:
    content = bytearray((store / "shard-000001.safetensors").read_bytes())
    content[-1] ^= 1
    (store / "shard-000001.safetensors").write_bytes(content)


def _edit_manifest(store: Path, **changes: object) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | changes))


def _point_outside(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["shards"][0]["file"] = "../shard-000000.safetensors"
    (store / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip_a_bit, "shard-000001"),
        (lambda store: (store / "shard-000002.safetensors").unlink(), "shard-000002"),
        (lambda store: (store / "extra").write_text(""), "extra"),
        (lambda store: (store / "manifest.json").write_text("{"), "manifest"),
        (lambda store: _edit_manifest(store, version=9), "version"),
        (lambda store: _edit_manifest(store, num_pairs=51), "51 pairs"),
        (lambda store: _edit_manifest(store, noise_check="0" * 64), "generator"),
        (_point_outside, r"\.\./shard"),
    ],
)
def test_a_damaged_store_is_refused_by_name(sampler: Sampler, tmp_path: Path, damage, message: str) -> None:
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "store")
    damage(tmp_path / "store")
    with pytest.raises(StraightflowError, match=message):
        CouplingStore(tmp_path / "store")
