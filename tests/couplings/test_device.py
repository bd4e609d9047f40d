"""Whole shards on a device: every tensor is there that must be, and the shards are the CPU's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings
from helpers.small_unet import small_unet
from helpers.stand_in_device import placed, stand_in_device
from safetensors.torch import load_file

from pipeline.config.couplings import CouplingsConfig, ImageToNoiseConfig
from pipeline.config.guidance import GuidanceConfig
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig, states_problem
from pipeline.couplings.coupling_run import CouplingRun, open_run
from pipeline.couplings.generation import make_shards
from pipeline.couplings.unfinished import Worker
from pipeline.data.sample_set import SampleSet
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student

ONE_LEVEL = {
    "sample_size": 4,
    "block_out_channels": (8,),
    "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
}
SOLVERS_OF = {"student": STUDENT_SOLVERS, "teacher": TEACHER_SOLVERS, "flow map": FLOW_MAP_SOLVERS}


def saved(kind: str, folder: Path, runtime: Runtime) -> Sampler:
    conditions = {"class_embed_type": "timestep"} if kind == "flow map" else {"num_class_embeds": 3}
    network = small_unet(**ONE_LEVEL, **conditions)
    if kind == "teacher":
        save_teacher(network, folder, training_scheduler())
    else:
        save_student(network, folder)
    return load_sampler(folder, runtime)


def solver_of(name: str) -> SolverConfig:
    if name == "dopri5":
        return SolverConfig(name=name, rtol=1e-2, atol=1e-2)
    return SolverConfig(name=name, num_steps=3)


def six_pairs(solver: SolverConfig, **changes: object) -> CouplingsConfig:
    return couplings(num_pairs=6, shard_pairs=6, batch_size=4, solver=solver, dtype="float32", **changes)


def made(sampler: Sampler, config: CouplingsConfig, folder: Path, images: SampleSet | None = None) -> CouplingRun:
    run = open_run(sampler, config, folder, images)
    make_shards(run, Worker(0, 1))
    return run


def require_same(found: CouplingRun, expected: CouplingRun) -> None:
    ours, theirs = (load_file(run.unfinished.path(0)) for run in (found, expected))
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        torch.testing.assert_close(values, theirs[name], rtol=2e-2, atol=2e-2)
    mine, other = found.finished(0), expected.finished(0)
    assert (mine.evaluations, mine.samples_forward) == (other.evaluations, other.samples_forward)
    np.testing.assert_allclose(mine.transport_costs, other.transport_costs, rtol=2e-2)
    assert mine.clipped_fraction == pytest.approx(other.clipped_fraction, abs=0.05)
    for measured in ("noise", "states"):
        of_device, of_cpu = getattr(mine, measured), getattr(other, measured)
        assert (of_device is None) == (of_cpu is None)
        assert (of_device or {}) == pytest.approx(of_cpu or {}, rel=5e-2, abs=1e-3)


@pytest.mark.parametrize("kind", SOLVERS_OF)
def test_every_solver_makes_the_shards_on_a_device_that_it_makes_on_the_cpu(
    kind: str, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = saved(kind, tmp_path / "model", runtime)
    for name in SOLVERS_OF[kind]:
        solver = solver_of(name)
        config = six_pairs(solver, states=kind != "flow map" and states_problem(solver) is None)
        expected = made(sampler, config, tmp_path / "cpu")
        with stand_in_device(monkeypatch):
            found = made(placed(sampler), config, tmp_path / "device")
        require_same(found, expected)


@pytest.mark.parametrize(("kind", "name"), [("student", "euler"), ("teacher", "ddim")])
def test_a_device_guides_as_the_cpu_does(
    kind: str, name: str, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = replace(saved(kind, tmp_path / "model", runtime), null_class=2)
    solver = SolverConfig(name=name, num_steps=3, guidance=GuidanceConfig(scale=2.0, interval=(0.2, 0.9)))
    expected = made(sampler, six_pairs(solver), tmp_path / "cpu")
    with stand_in_device(monkeypatch):
        found = made(placed(sampler), six_pairs(solver), tmp_path / "device")
    require_same(found, expected)


@pytest.mark.parametrize(("kind", "name"), [("student", "euler"), ("teacher", "ddim")])
def test_a_device_inverts_as_the_cpu_does(
    kind: str, name: str, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, solver = saved(kind, tmp_path / "model", runtime), solver_of(name)
    stored = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
    images = SampleSet(stored, np.arange(5) % 3, "real")
    config = six_pairs(solver, image_to_noise=ImageToNoiseConfig(share=1, solver=solver))
    expected = made(sampler, config, tmp_path / "cpu", images)
    with stand_in_device(monkeypatch):
        found = made(placed(sampler), config, tmp_path / "device", images)
    require_same(found, expected)
