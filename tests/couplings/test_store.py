from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, rewrite_shard

from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.order import BatchOrder
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError
from pipeline.training.samples import Mirrored


def test_a_pair_costs_its_bytes_and_little_more(sampler: Sampler, tmp_path: Path) -> None:
    generate_couplings(
        sampler, couplings(num_pairs=4000, shard_pairs=4000, batch_size=2000), tmp_path / "runs", tmp_path / "big"
    )
    size = sum(path.stat().st_size for path in (tmp_path / "big").iterdir())
    assert size / 4000 <= 1.02 * 64


def test_more_shards_than_open_files(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.couplings.store.MAPPED_SHARDS", 8)
    config = couplings(shard_pairs=1, batch_size=50)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store")
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened = CouplingStore(tmp_path / "store")
    everything = opened.load(np.arange(50))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8
    assert torch.equal(everything["x_1"][[49, 0]], opened.load(np.array([49, 0]))["x_1"])


def test_a_store_is_sent_to_a_worker_by_its_name(store: Path) -> None:
    opened = CouplingStore(store)
    sent = pickle.dumps(opened)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent).load(np.arange(50))["x_1"], opened.load(np.arange(50))["x_1"])


def test_a_shard_of_inverted_images_brings_its_noise(store: Path) -> None:
    noise = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    images = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    rewrite_shard(store, 1, {"images": images, "noise": noise}, direction="image_to_noise")
    pairs = CouplingStore(store).load(np.array([39, 0, 20, 49]))
    assert torch.equal(pairs["x_0"][[0, 2]], noise[[19, 0]].float())
    assert torch.equal(pairs["x_0"][[1, 3]], sample_noise(stream_key("couplings", 7), [0, 49], (1, 8, 8)))
    assert (pairs["x_1"][[0, 2]] == 1).all()


def test_labels_come_with_their_pairs(store: Path) -> None:
    for index, count in enumerate((20, 20, 10)):
        labels = torch.arange(count, dtype=torch.int32) + 20 * index
        rewrite_shard(store, index, {"images": torch.zeros(count, 1, 8, 8, dtype=torch.uint8), "labels": labels})
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | {"num_classes": 50}))
    labels = CouplingStore(store).load(np.array([41, 3, 20]))["labels"]
    assert labels.dtype == torch.int64
    assert labels.tolist() == [41, 3, 20]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_rank_count_sees_each_pair_once_an_epoch_in_one_order(store: Path, ranks: int) -> None:
    opened = CouplingStore(store)
    order = BatchOrder(seed=3, batch_size=6, num_items=len(opened))
    seen = []
    for step in range(25):
        batch = order(step)
        seen.append(np.concatenate([batch[rank * 6 // ranks : (rank + 1) * 6 // ranks] for rank in range(ranks)]))
    visited = np.concatenate(seen)
    for epoch in range(3):
        assert sorted(visited[50 * epoch : 50 * (epoch + 1)]) == list(range(50))
    assert not np.array_equal(visited[:50], visited[50:100])
    alone = np.concatenate([BatchOrder(seed=3, batch_size=6, num_items=50)(step) for step in range(25)])
    assert np.array_equal(visited, alone)


def test_flips_turn_noise_and_image_together(store: Path) -> None:
    opened = CouplingStore(store)
    mirrored = Mirrored(opened)
    assert len(mirrored) == 100
    plain, both = opened.load(np.array([7, 7, 30])), mirrored.load(np.array([14, 15, 61]))
    for name in ("x_0", "x_1"):
        assert torch.equal(both[name][0], plain[name][0])
        assert torch.equal(both[name][1:], plain[name][1:].flip(-1))
    assert mirrored.locate(61) == "shard-000001.safetensors row 10 (mirrored)"


def _flip_a_bit(store: Path) -> None:
    content = bytearray((store / "shard-000001.safetensors").read_bytes())
    content[-1] ^= 1
    (store / "shard-000001.safetensors").write_bytes(content)


def _edit_manifest(store: Path, **changes: object) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | changes))


def _edit_shard(store: Path, index: int, **changes: object) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["shards"][index] |= changes
    (store / "manifest.json").write_text(json.dumps(manifest))


def _move_a_pair(store: Path) -> None:
    """The counts still add up, and no shard is where its pairs are looked for."""
    _edit_shard(store, 0, num_pairs=19)
    _edit_shard(store, 1, num_pairs=21)


def _point_outside(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["shards"][0]["file"] = "../shard-000000.safetensors"
    (store / "manifest.json").write_text(json.dumps(manifest))


def _swap(store: Path) -> None:
    first, second = (store / f"shard-00000{index}.safetensors" for index in range(2))
    shutil.copy(first, store / "aside")
    second.replace(first)
    (store / "aside").replace(second)


def _truncate(store: Path) -> None:
    path = store / "shard-000001.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_swap, "shard-000000"),
        (_truncate, "shard-000001"),
        (_flip_a_bit, "shard-000001"),
        (lambda store: (store / "shard-000002.safetensors").unlink(), "shard-000002"),
        (lambda store: (store / "extra").write_text(""), "extra"),
        (lambda store: (store / "manifest.json").write_text("{"), "manifest"),
        (lambda store: _edit_manifest(store, version=9), "version"),
        (lambda store: _edit_manifest(store, num_pairs=51), "51 pairs"),
        (lambda store: _edit_manifest(store, noise_check="0" * 64), "generator"),
        (_point_outside, r"\.\./shard"),
        (_move_a_pair, r"shards of \[19, 21, 10\]"),
        (lambda store: _edit_manifest(store, shard_pairs=0), "shard_pairs: .*greater than 0"),
        (lambda store: _edit_manifest(store, shard_pairs=-20), "shard_pairs: .*greater than 0"),
        (lambda store: _edit_manifest(store, shard_pairs=10), "shards of 10 pairs"),
        (lambda store: _edit_manifest(store, shard_pairs=25), "shards of 25 pairs"),
        (lambda store: _edit_manifest(store, num_pairs=-50), "num_pairs: .*greater than 0"),
        (lambda store: _edit_manifest(store, shards=[]), "50 pairs in all shards"),
        (lambda store: _edit_manifest(store, batch_size=0), "batch_size: .*greater than 0"),
        (lambda store: _edit_manifest(store, nfe_mean=float("nan")), "nfe_mean: .*finite number"),
        (lambda store: _edit_manifest(store, nfe_mean=-1.0), "nfe_mean: .*greater than or equal to 0"),
        (lambda store: _edit_manifest(store, num_classes=0), "num_classes: .*greater than 0"),
        (lambda store: _edit_manifest(store, seed=-1), "seed: .*greater than or equal to 0"),
        (lambda store: _edit_manifest(store, seed=2**64), "seed: .*less than"),
        (lambda store: _edit_manifest(store, shape=[1, -8, 8]), "shape.*greater than 0"),
        (lambda store: _edit_manifest(store, noise={"mean": [float("inf")], "std": 1.0}), "noise"),
        (lambda store: _edit_manifest(store, noise={"mean": None, "std": float("nan")}), "noise.std"),
        (lambda store: _edit_shard(store, 1, transport_cost=float("nan")), "transport_cost: .*finite number"),
        (lambda store: _edit_shard(store, 1, transport_cost=-1.0), "transport_cost: .*greater than or equal to 0"),
        (lambda store: _edit_shard(store, 1, clipped_fraction=float("nan")), "clipped_fraction"),
        (lambda store: _edit_shard(store, 1, clipped_fraction=1.5), "clipped_fraction: .*less than or equal to 1"),
        (lambda store: _edit_shard(store, 1, sha256="0"), "sha256"),
    ],
)
def test_a_damaged_store_is_refused_by_name(store: Path, damage, message: str) -> None:
    damage(store)
    with pytest.raises(StraightflowError, match=message):
        CouplingStore(store)


def test_a_truncated_shard_is_found_without_hashing(store: Path) -> None:
    _truncate(store)
    with pytest.raises(StraightflowError, match="shard-000001"):
        CouplingStore(store, verify=False)


def test_a_shard_with_a_pickle_inside_is_refused(store: Path) -> None:
    torch.save({"images": torch.zeros(20, 1, 8, 8, dtype=torch.uint8)}, store / "shard-000001.safetensors")
    with pytest.raises(StraightflowError, match="shard-000001"):
        CouplingStore(store, verify=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_dropped": 11}, "0.25 of 50 pairs left out"),
        ({"num_dropped": 0}, "num_dropped: .*greater than 0"),
        ({"dropped_share": 1.0}, "dropped_share: .*less than 1"),
        ({"dropped_share": 0.3}, "0.3 of 50 pairs left out"),
        ({"smallest_dropped_cost": float("nan")}, "smallest_dropped_cost: .*finite number"),
    ],
)
def test_a_pair_filter_that_does_not_agree_with_its_store_is_refused(
    sampler: Sampler, tmp_path: Path, changes: dict[str, float], message: str
) -> None:
    generate_couplings(sampler, couplings(drop_farthest_share=0.25), tmp_path / "runs", tmp_path / "filtered")
    manifest = json.loads((tmp_path / "filtered/manifest.json").read_text())
    assert manifest["pair_filter"]["num_dropped"] == 12
    _edit_manifest(tmp_path / "filtered", pair_filter=manifest["pair_filter"] | changes)
    with pytest.raises(StraightflowError, match=message):
        CouplingStore(tmp_path / "filtered")
