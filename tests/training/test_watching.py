from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import MethodType, SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from accelerate.utils import convert_outputs_to_fp32
from dvc.repo import Repo
from helpers.composition import composed
from helpers.counting_compiler import CountingCompiler
from helpers.small_training import OBJECTIVE, Pairs, training_config
from PIL import Image
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.config.loading import parse_config
from pipeline.config.noise import NoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.config.watch import WatchConfig
from pipeline.data.pixels import to_uint8
from pipeline.evaluation import few_step_fid
from pipeline.evaluation.few_step_fid import FewStepFid
from pipeline.metrics.features import FeatureExtractor
from pipeline.metrics.frechet import FrechetReference
from pipeline.metrics.moments import moments_of
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.networks import set_noise
from pipeline.models.sampler import Sampler
from pipeline.models.velocity_mlp import VelocityMLP
from pipeline.system.errors import StraightflowError
from pipeline.system.typed_content import read_typed
from pipeline.training.heldout import heldout_loss
from pipeline.training.measured_fid import QUICK_FID, MeasuredFid
from pipeline.training.meter import LossRecord
from pipeline.training.samples import StepBatches
from pipeline.training.watching import QuickFid, Watcher, tracked_values
from stages.watching import as_wrapped, fid_batch_size, preview_of

ROWS = [
    LossRecord(10, 0.5, 1e-3, 2.0, (None,) * 9 + (0.5,), None),
    LossRecord(20, 0.25, 5e-4, 1.0, (0.25,) * 10, 0.125),
]


def nothing(network: torch.nn.Module) -> torch.Tensor:  # noqa: ARG001
    return torch.zeros(1, 1, 2, 2)


def test_only_what_was_measured_is_logged() -> None:
    assert tracked_values(ROWS[0]) == {
        "loss": 0.5,
        "learning_rate": 1e-3,
        "gradient_norm": 2.0,
        "loss_by_time/0.9": 0.5,
    }
    assert tracked_values(ROWS[1])["heldout_loss"] == 0.125


def test_both_trackers_hold_what_was_recorded(runtime, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    repo = Repo.init(no_scm=True)
    folder = Path("watch/round1")
    config = WatchConfig(trackers=("tensorboard", "dvclive"), fid_every_steps=15)
    fids = iter((8.0, 4.0))
    watcher = Watcher(config, folder, nothing, runtime, QuickFid("fid/of/16", lambda _: next(fids)))
    network = torch.nn.Linear(1, 1)
    notes = []
    for step in range(1, 31):
        notes += [watcher.look(network, step)] if watcher.looks_at(step) else []
        for row in ROWS:
            if row.step == step:
                watcher.record(row, batch_size=128)
    watcher.finish()
    assert notes == ["FID 8", "FID 4"]

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    for name in tracked_values(ROWS[1]):
        points = {event.step: event.value for event in events.Scalars(name)}
        expected = {row.step: tracked_values(row)[name] for row in ROWS if name in tracked_values(row)}
        assert points == pytest.approx(expected)
    assert [event.step for event in events.Scalars("memory_mb")] == [10, 20]
    assert [event.step for event in events.Scalars("images_per_second")] == [20]

    assert [(event.step, event.value) for event in events.Scalars("fid/of/16")] == [(15, 8.0), (30, 4.0)]
    assert read_typed(folder / QUICK_FID, MeasuredFid) == MeasuredFid("fid/of/16", step=30, fid=4.0)

    shown = next(iter(repo.metrics.show().values()))["data"]
    metrics = next(iter(shown.values()))["data"]
    assert metrics["loss"] == 0.25
    assert metrics["fid"] == {"of": {"16": 4.0}}
    assert metrics["loss_by_time"] == {f"{bucket / 10:.1f}": 0.25 for bucket in range(10)}
    assert yaml.safe_load((folder / "dvclive/dvc.yaml").read_text())["plots"]


def test_images_drawn_on_the_way_are_a_grid(tiny_unet, runtime, tmp_path: Path) -> None:
    def preview(network: torch.nn.Module) -> torch.Tensor:
        assert not network.training
        return torch.stack([torch.full((1, 8, 8), value) for value in (-1.0, 1.0, 0.0, 5.0)])

    watcher = Watcher(WatchConfig(samples_every_steps=5), tmp_path, preview, runtime)
    assert [step for step in range(1, 12) if watcher.looks_at(step)] == [5, 10]
    watcher.look(tiny_unet.train(), 15)
    grid = np.asarray(Image.open(tmp_path / "samples/step-000000015.png").convert("L"))
    centres = [grid[4 + 10 * row, 4 + 10 * column] for row in range(2) for column in range(2)]
    assert [int(value) for value in centres] == [0, 255, 128, 255]
    assert tiny_unet.training


def test_previews_start_from_the_networks_own_noise_and_are_the_same_every_time(runtime) -> None:
    distribution = NoiseConfig(mean=(0.0, -5.0), std=0.5)
    network = VelocityMLP(in_channels=2, width=4, num_layers=1, fourier_octaves=0)
    set_noise(network, distribution)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    solver = SolverConfig(name="euler", num_steps=3)
    preview = preview_of(as_wrapped(network, None, runtime), solver)
    drawn = preview(network)
    # The velocity is 0, so what is drawn is the noise: 64 points, the mean's standard error std / 8.
    assert torch.allclose(drawn.mean(0), torch.tensor(distribution.mean), rtol=0, atol=5 * 0.5 / 8)
    assert torch.allclose(drawn.std(0), torch.full((2,), 0.5), rtol=0, atol=5 * 0.5 / (2 * 63) ** 0.5)
    assert torch.equal(preview(network), drawn)


def test_a_tracker_that_is_not_installed_is_named(runtime, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(StraightflowError, match=r"pip install -e '.\[watch\]'"):
        Watcher(WatchConfig(trackers=("dvclive",)), tmp_path, nothing, runtime)


def test_a_quick_fid_without_a_tracker_to_write_to_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs trackers to write to"):
        WatchConfig(fid_every_steps=100)


@torch._dynamo.config.patch(automatic_dynamic_shapes=False)  # so that every shape counts
def test_a_compiled_training_that_is_watched_has_three_graphs(runtime, monkeypatch) -> None:
    """One of its steps, one of held-out losses, and one of all that is drawn; torch gives up at eight."""
    torch._dynamo.reset()
    config = parse_config(composed("preset=smoke"), origin="test")
    batch_size = fid_batch_size(config, dataclasses.replace(runtime, compile=True))
    bf16 = dataclasses.replace(runtime, precision="bf16")
    network, compiler = VelocityMLP(in_channels=2, width=4, num_layers=1, fourier_octaves=0), CountingCompiler()
    network.compile(backend=compiler)
    in_autocast = torch.autocast("cpu", torch.bfloat16)(type(network).forward)
    network.forward = MethodType(convert_outputs_to_fp32(in_autocast), network)  # as Accelerate wraps it
    counted = CountedNetwork(network, NetworkCalls())
    solver = SolverConfig(name="euler", num_steps=3)
    sampled = as_wrapped(network, None, bf16)
    points = Pairs()
    points.x_0, points.x_1 = torch.randn(20, 2), torch.randn(20, 2)
    batches = StepBatches(points, OBJECTIVE, training_config(), 0, 1)

    def measured(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :2].astype(np.float32) + np.arange(len(images))[:, None]

    extractor = FeatureExtractor("", "", lambda images: measured(images.numpy()))

    def drawn(sampler: Sampler, solver: SolverConfig, key: int, indices: range) -> np.ndarray:
        x_0, labels = sampler.draw(key, indices)
        return to_uint8(sampler.sample(x_0, solver, labels).x).numpy()

    monkeypatch.setattr(few_step_fid, "draw_images", drawn)  # of points, which are no images
    frechet = FrechetReference(moments_of(np.random.default_rng(0).normal(size=(9, 2))))
    reference = SimpleNamespace(frechet=frechet, extractor=extractor)
    quick_fid = FewStepFid(reference, key=0, num_samples=70, batch_size=batch_size)

    counts = []
    for step in range(3):
        network.train()
        OBJECTIVE.loss(counted, batches[step]).mean().backward()
        counts.append(compiler.graphs)
        heldout_loss(counted, points, OBJECTIVE, bf16, batch_size=8, seed=0)
        counts.append(compiler.graphs)
        network.eval()
        preview_of(sampled, solver)(network)
        counts.append(compiler.graphs)
        assert quick_fid(sampled(network), solver) >= 0
        counts.append(compiler.graphs)
    torch._dynamo.reset()
    assert counts == [1, 2, 3, 3] + [3] * 8
    assert counted.calls == NetworkCalls(3 * (8 + 24), 3 * 8)  # a held-out loss is of 20 points in batches of 8
