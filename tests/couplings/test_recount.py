from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, rewrite_shard

from pipeline.config.couplings import ImageToNoiseConfig
from pipeline.config.solver import TEACHER_SOLVERS, SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.network_calls import network_calls
from pipeline.couplings.pair_measures import num_clipped, possibly_clipped
from pipeline.couplings.recount import disagreements, require_true_manifest
from pipeline.couplings.store import CouplingStore
from pipeline.data.pixels import StoredType, to_stored
from pipeline.data.sample_set import SampleSet
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.system.errors import StraightflowError


def edit(store: Path, shard: int | None = None, **changes: object) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (manifest if shard is None else manifest["shards"][shard]).update(changes)
    (store / "manifest.json").write_text(json.dumps(manifest))


def found(store: Path) -> list[str]:
    return list(disagreements(CouplingStore(store)))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("batch_size", [3, 50])
def test_a_manifest_agrees_with_the_pairs_it_was_written_for(
    sampler: Sampler, tmp_path: Path, dtype: StoredType, batch_size: int
) -> None:
    real = SampleSet(np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8), None, "")
    config = couplings(
        dtype=dtype,
        batch_size=batch_size,
        drop_farthest_share=0.2,
        image_to_noise=ImageToNoiseConfig(share=0.6, solver=SolverConfig(name="heun", num_steps=2)),
    )
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", real)
    assert CouplingStore(tmp_path / "store").manifest.nfe_mean == pytest.approx(0.4 * 2 + 0.6 * 4)
    assert found(tmp_path / "store") == []


def test_shards_exchanged_together_with_their_hashes(store: Path) -> None:
    first, second = (store / f"shard-00000{index}.safetensors" for index in range(2))
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_bytes)
    second.write_bytes(first_bytes)
    records = json.loads((store / "manifest.json").read_text())["shards"]
    for whole in (False, True):  # the hashes alone, then everything that is said of the two shards but their names
        for shard, other in ((0, 1), (1, 0)):
            said = {key: value for key, value in records[other].items() if key != "file"}
            edit(store, shard, **(said if whole else {"sha256": said["sha256"]}))
        reasons = [line for line in found(store) if line.startswith("transport_cost")]
        assert [line.split(", but")[0].rpartition(" of ")[2] for line in reasons] == [first.name, second.name]


@pytest.mark.parametrize(
    ("shard", "changes", "message"),
    [
        (1, {"transport_cost": 0.5}, "transport_cost 0.5 of shard-000001.safetensors"),
        (1, {"clipped_fraction": 0.99}, "clipped_fraction 0.99 of shard-000001.safetensors"),
        (None, {"nfe_mean": 2.5}, "nfe_mean 2.5, but euler takes 2 calls a pair"),
        (None, {"nfe_mean": 0}, "nfe_mean 0, but euler takes 2 calls a pair"),
    ],
)
def test_a_number_that_was_edited_is_named(
    store: Path, shard: int | None, changes: dict[str, float], message: str
) -> None:
    edit(store, shard, **changes)
    with pytest.raises(StraightflowError, match=message):
        require_true_manifest(CouplingStore(store))


def test_the_cost_from_which_pairs_were_dropped(sampler: Sampler, tmp_path: Path) -> None:
    generate_couplings(sampler, couplings(drop_farthest_share=0.25), tmp_path / "runs", tmp_path / "store")
    manifest = json.loads((tmp_path / "store/manifest.json").read_text())
    edit(tmp_path / "store", pair_filter=manifest["pair_filter"] | {"smallest_dropped_cost": 0.125})
    (line,) = found(tmp_path / "store")
    assert line.startswith("pair_filter.smallest_dropped_cost 0.125, but ")


def test_moments_of_stored_noise(sampler: Sampler, tmp_path: Path) -> None:
    real = SampleSet(np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8), None, "")
    config = couplings(image_to_noise=ImageToNoiseConfig(share=0.2, solver=couplings().solver))
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", real)
    noise = json.loads((tmp_path / "store/manifest.json").read_text())["shards"][2]["noise"]
    edit(tmp_path / "store", 2, noise=noise | {"variance": noise["variance"] + 0.5})
    (line,) = found(tmp_path / "store")
    assert line.startswith("noise.variance")


@pytest.mark.parametrize("label", [-1, 4, 2**31 - 1])
def test_labels_beyond_the_classes(store: Path, label: int) -> None:
    images = [CouplingStore(store).made_images(np.arange(first, min(first + 20, 50))) for first in (0, 20, 40)]
    for index, stored in enumerate(images):
        labels = torch.arange(len(stored), dtype=torch.int32) % 4
        labels[7] = label if index == 1 else 0
        rewrite_shard(store, index, {"images": stored, "labels": labels})
    edit(store, num_classes=4)
    (line,) = found(store)
    assert line == f"num_classes 4, but shard-000001.safetensors has labels from {min(0, label)} to {max(3, label)}"


def test_what_storing_leaves_of_clipped_entries() -> None:
    solved = torch.tensor([-1.2, -1.05, -1.04, 0.0, 1.0, 1.049, 1.0501, 1.2])
    assert num_clipped(solved) == 3
    assert possibly_clipped(to_stored(solved, "uint8")) == (0, 7)
    assert possibly_clipped(to_stored(solved, "float32")) == (3, 3)
    least, largest = possibly_clipped(to_stored(solved, "float16"))
    assert least <= 3 <= largest


@pytest.mark.parametrize("name", ["euler", "heun", "midpoint", "rk4", "projection"])
def test_calls_of_a_student(sampler: Sampler, name: str) -> None:
    solver = SolverConfig(name=name, num_steps=3)
    x = torch.zeros(1, 1, 8, 8)
    least, largest = network_calls(solver, to_noise=False)
    assert least <= sampler.sample(x, solver).nfe == largest
    if name != "projection":
        assert network_calls(solver, to_noise=True) == (sampler.invert(x, x, solver).nfe,) * 2


def test_calls_of_the_adaptive_solver(sampler: Sampler) -> None:
    solver = SolverConfig(name="dopri5", rtol=0.5, atol=0.5)
    least, largest = network_calls(solver, to_noise=False)
    assert least <= sampler.sample(torch.zeros(1, 1, 8, 8), solver).nfe <= largest


@pytest.mark.parametrize("name", TEACHER_SOLVERS)
def test_calls_of_a_teacher(tiny_unet, runtime, tmp_path: Path, name: str) -> None:
    save_teacher(tiny_unet, tmp_path / "teacher", training_scheduler())
    sampler = load_sampler(tmp_path / "teacher", runtime)
    settings = {"rtol": 0.5, "atol": 0.5} if name == "dopri5" else {"num_steps": 3}
    solver, x = SolverConfig.model_validate({"name": name} | settings), torch.zeros(1, 1, 8, 8)
    for to_noise, solution in ((False, sampler.sample(x, solver)), (True, sampler.invert(x, x, solver))):
        least, largest = network_calls(solver, to_noise=to_noise)
        assert least <= solution.nfe <= largest
        assert name in ("heun", "dopri5") or least == largest
