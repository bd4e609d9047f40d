from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings
from helpers.lock_holder import held_by_another
from helpers.other_disk import mount

import pipeline.couplings.unfinished as unfinished_module
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.generation import generate_couplings, make_shards
from pipeline.couplings.publication import publish
from pipeline.couplings.store import CouplingStore
from pipeline.couplings.unfinished import Worker
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.solvers import Solution
from pipeline.models.counted import NetworkCalls
from pipeline.models.flops import flops_per_sample
from pipeline.models.sampler import Sampler
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder


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
        generate_couplings(sampler, couplings(batch_size=batch_size), tmp_path / "runs", tmp_path / str(batch_size))
    everything = np.arange(50)
    first, second = (CouplingStore(tmp_path / name).images(everything).int() for name in ("3", "50"))
    assert (first - second).abs().max() <= 1


class InterruptedRunError(Exception):
    pass


def test_an_interrupted_store_resumes_to_the_same_bytes(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "whole")
    original, calls = Sampler.sample, 0

    def dies_in_the_second_shard(self, x_0, solver, labels=None):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise InterruptedRunError
        return original(self, x_0, solver, labels)

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


@pytest.mark.parametrize(("dtype", "tolerance"), [("uint8", 0.5 / 127.5), ("float16", 2**-10), ("float32", 1e-6)])
def test_images_are_stored_to_the_precision_of_their_type(
    sampler: Sampler, tmp_path: Path, dtype: str, tolerance: float
) -> None:
    config = couplings(dtype=dtype)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store")
    pairs = CouplingStore(tmp_path / "store").load(np.arange(20))
    x_1 = torch.cat([sampler.sample(pairs["x_0"][start : start + 8], config.solver).x for start in (0, 8, 16)])
    expected = x_1.clamp(-1, 1) if dtype == "uint8" else x_1
    assert ((pairs["x_1"] - expected).abs() <= tolerance * expected.abs().clamp(min=1) + 1e-6).all()


def test_the_farthest_pairs_are_left_out_and_recorded(sampler: Sampler, store: Path, tmp_path: Path) -> None:
    generate_couplings(sampler, couplings(drop_farthest_share=0.25), tmp_path / "runs", tmp_path / "filtered")
    whole, filtered = CouplingStore(store), CouplingStore(tmp_path / "filtered")
    pairs = whole.load(np.arange(50))
    costs = (pairs["x_1"] - pairs["x_0"]).square().mean((1, 2, 3))
    nearest = costs.sort().indices[:38].sort().values  # 50 - floor(0.25 * 50)
    assert len(filtered) == 38
    kept = filtered.load(np.arange(38))
    assert torch.equal(kept["x_0"], pairs["x_0"][nearest])
    assert torch.equal(kept["x_1"], pairs["x_1"][nearest])
    record = filtered.manifest.pair_filter
    assert record is not None
    assert record.num_dropped == 12
    assert record.smallest_dropped_cost == pytest.approx(costs.sort().values[38].item())
    assert filtered.manifest.transport_cost == pytest.approx(costs.mean().item(), rel=1e-5)


def test_jobs_make_disjoint_shards_that_any_call_publishes(sampler: Sampler, store: Path, tmp_path: Path) -> None:
    made = []
    for index in (1, 0):
        run = open_run(sampler, couplings(), tmp_path / "jobs")
        with pytest.raises(StraightflowError, match=r"missing, the first of them shard-00000"):
            publish(run, tmp_path / "published")
        make_shards(run, Worker(index, 2))
        made.append(sorted(path.name for path in run.unfinished.folder.glob("*.safetensors")))
    assert made == [["shard-000001.safetensors"], [f"shard-00000{index}.safetensors" for index in range(3)]]
    sampled = Sampler.sample
    try:
        Sampler.sample = None  # publishing draws nothing
        generate_couplings(sampler, couplings(), tmp_path / "jobs", tmp_path / "published")
    finally:
        Sampler.sample = sampled
    assert fingerprint_folder(tmp_path / "published") == fingerprint_folder(store)


def test_a_shard_that_changed_after_it_was_made_is_made_again(sampler: Sampler, store: Path, tmp_path: Path) -> None:
    run = open_run(sampler, couplings(), tmp_path / "runs")
    make_shards(run, Worker(0, 1))
    content = bytearray(run.unfinished.path(1).read_bytes())
    content[-1] ^= 1
    run.unfinished.path(1).write_bytes(content)
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "again")
    assert fingerprint_folder(tmp_path / "again") == fingerprint_folder(store)


def test_more_pairs_are_added_to_the_shards_of_an_unfinished_store(sampler: Sampler, tmp_path: Path) -> None:
    make_shards(open_run(sampler, couplings(), tmp_path / "runs"), Worker(0, 1))
    run = open_run(sampler, couplings(num_pairs=70), tmp_path / "runs")
    assert [run.finished(shard) is not None for shard in range(4)] == [True, True, False, False]


def test_a_second_writer_is_refused(sampler: Sampler, tmp_path: Path) -> None:
    run = open_run(sampler, couplings(), tmp_path / "runs")
    refused = pytest.raises(StraightflowError, match=r"only writer of shard shard-000001(.|\n)*another process")
    with held_by_another(run.unfinished.folder / ".shard-000001.safetensors.lock"), refused:
        make_shards(run, Worker(0, 1))
    assert run.finished(0) is not None
    make_shards(run, Worker(0, 1))
    assert run.finished(1) is not None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_is_named_with_the_shard(
    sampler: Sampler, tmp_path: Path, monkeypatch, code: int
) -> None:
    original = unfinished_module.write_shard

    def fails_at_the_second(path: Path, tensors: dict[str, torch.Tensor]) -> str:
        if path.name == "shard-000001.safetensors":
            raise OSError(code, os.strerror(code), str(path))
        return original(path, tensors)

    run = open_run(sampler, couplings(), tmp_path / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(unfinished_module, "write_shard", fails_at_the_second)
        with pytest.raises(StraightflowError, match=rf"shard-000001(.|\n)*{os.strerror(code)}(.|\n)*finished shards"):
            make_shards(run, Worker(0, 1))
    assert [run.finished(shard) is not None for shard in range(3)] == [True, False, False]


@pytest.mark.parametrize("apart", ["runs", "couplings", "both"])
def test_shards_and_store_may_be_on_different_disks(
    sampler: Sampler, store: Path, tmp_path: Path, monkeypatch, apart: str
) -> None:
    runs, published = tmp_path / "project/runs", tmp_path / "project/couplings/round1/store"
    for folder in (runs, published.parents[1]):
        folder.mkdir(parents=True)
    mount(monkeypatch, *([runs] * (apart != "couplings")), *([published.parents[1]] * (apart != "runs")))
    generate_couplings(sampler, couplings(), runs, published)
    assert fingerprint_folder(published) == fingerprint_folder(store)
    assert len(CouplingStore(published)) == 50
    assert list(runs.iterdir()) == []
    assert [item.name for item in published.parent.iterdir()] == ["store"]


def test_a_store_takes_no_place_of_what_is_none(sampler: Sampler, store: Path, tmp_path: Path, monkeypatch) -> None:
    before = fingerprint_folder(store)
    generate_couplings(sampler, couplings(), tmp_path / "runs", store)
    assert fingerprint_folder(store) == before
    (store / "notes.txt").write_text("mine")
    monkeypatch.setattr(Sampler, "sample", None)  # known before anything is drawn
    with pytest.raises(StraightflowError, match=r"notes\.txt"):
        generate_couplings(sampler, couplings(seed=8), tmp_path / "runs", store)
    assert (store / "notes.txt").read_text() == "mine"


def test_an_image_that_is_not_finite_names_the_shard(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    original, calls = Sampler.sample, 0

    def breaks_in_the_second_shard(self, x_0, solver, labels=None):
        nonlocal calls
        calls += 1
        solution = original(self, x_0, solver, labels)
        return Solution(solution.x / 0, solution.nfe) if calls == 5 else solution

    monkeypatch.setattr(Sampler, "sample", breaks_in_the_second_shard)
    with pytest.raises(StraightflowError, match=r"NaN or infinity in shard shard-000001\S+, pairs 28 to 35"):
        generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "store")
    assert open_run(sampler, couplings(), tmp_path / "runs").finished(0) is not None


# Every file of a store is written, renamed, linked and removed through these.
FILE_CALLS = ("fsync", "replace", "link", "unlink", "rmdir")


def killed_before_call(number: int, run) -> bool:
    """Runs ``run`` in a copy of this process that is killed before its number-th file call; whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    calls = 0

    def dies(function):
        def wrapper(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return wrapper

    try:
        for name in FILE_CALLS:
            setattr(os, name, dies(getattr(os, name)))
        run()
    finally:
        os._exit(0)


@pytest.mark.usefixtures("one_thread")  # a forked process has none of its parent's other threads
def test_a_kill_at_any_file_call_changes_nothing(sampler: Sampler, tmp_path: Path) -> None:
    folder, config = tmp_path / "killed", couplings(num_pairs=24, batch_size=20, drop_farthest_share=0.1)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "whole")

    def run() -> None:
        generate_couplings(sampler, config, folder / "runs", folder / "store")

    for number in range(1, 1000):
        shutil.rmtree(folder, ignore_errors=True)
        if not killed_before_call(number, run):
            break
        shutil.rmtree(folder / "store", ignore_errors=True)  # as `dvc repro` does before it runs a stage
        run()
        assert fingerprint_folder(folder / "store") == fingerprint_folder(tmp_path / "whole"), number
    assert number > 20


def test_what_interrupted_jobs_computed_adds_up_beside_the_store(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    def compute(name: str) -> Compute:
        return Compute(**json.loads((tmp_path / f"{name}.json").read_text()))

    whole, resumed, other = (dataclasses.replace(sampler, calls=NetworkCalls()) for _ in range(3))
    generate_couplings(whole, couplings(), tmp_path / "runs", tmp_path / "whole", cost=tmp_path / "whole.json")
    found = compute("whole")
    evaluations = 50 * 2  # pairs times steps of Euler
    flops = evaluations * flops_per_sample(sampler.network, (1, 8, 8), None).forward
    assert (found.samples_forward, found.samples_backward, found.flops) == (evaluations, 0, flops)
    assert found.seconds > 0
    original = Sampler.sample

    def dies_in_its_second_shard(self, x_0, solver, labels=None):
        if resumed.calls.forward >= 20 * 2 + 8 * 2:
            raise InterruptedRunError
        return original(self, x_0, solver, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "sample", dies_in_its_second_shard)
        with pytest.raises(InterruptedRunError):
            generate_couplings(resumed, couplings(), tmp_path / "runs", tmp_path / "resumed")
    make_shards(open_run(other, couplings(), tmp_path / "runs"), Worker(2, 3))
    generate_couplings(other, couplings(), tmp_path / "runs", tmp_path / "resumed", cost=tmp_path / "resumed.json")
    assert dataclasses.replace(compute("resumed"), seconds=found.seconds) == found
    assert other.calls.forward == evaluations - 20 * 2  # but for the first shard
    assert fingerprint_folder(tmp_path / "resumed") == fingerprint_folder(tmp_path / "whole")
