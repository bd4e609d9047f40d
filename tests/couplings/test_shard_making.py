"""A shard's bytes and record as arithmetic on one batch after another gives them, and the thread that writes it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, student_sampler
from helpers.small_unet import small_unet
from safetensors.numpy import save

import pipeline.couplings.unfinished as unfinished_module
from pipeline.config.couplings import CouplingsConfig, ImageToNoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.coupling_run import CouplingRun, open_run
from pipeline.couplings.generation import make_shards
from pipeline.couplings.noise_normality import noise_normality
from pipeline.couplings.shard_writer import ShardWriter
from pipeline.couplings.unfinished import Worker
from pipeline.data.order import EndlessOrder
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import sample_labels, sample_noise, stream_key
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError

EULER = SolverConfig(name="euler", num_steps=4)


def class_sampler(runtime: Runtime, folder: Path) -> Sampler:
    """A student of three classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return student_sampler(small_unet(num_class_embeds=3), runtime, folder)


def made(sampler: Sampler, config: CouplingsConfig, folder: Path, images: SampleSet | None = None) -> CouplingRun:
    run = open_run(sampler, config, folder, images)
    make_shards(run, Worker(0, 1))
    return run


def mean_squares(difference: np.ndarray) -> np.ndarray:
    """In torch's order of summation, as float32 sums depend on it."""
    return torch.from_numpy(difference * difference).flatten(1).mean(1).numpy()


def test_shards_and_records_are_to_the_byte_what_batch_after_batch_gives(runtime: Runtime, tmp_path: Path) -> None:
    sampler = class_sampler(runtime, tmp_path / "student")
    config = couplings(states=True, solver=EULER)
    run = made(sampler, config, tmp_path / "runs")
    key = stream_key("couplings", config.seed)
    for shard, indices in enumerate((range(20), range(20, 40), range(40, 50))):
        images, states, costs, remaining, clipped, squares = [], [], [], [], 0, 0.0
        for start in range(indices.start, indices.stop, 8):
            batch = range(start, min(start + 8, indices.stop))
            x_0 = sample_noise(key, batch, (1, 8, 8))
            solution = sampler.sample(x_0, EULER, sample_labels(key, batch, 3), keep_states=True)
            x_1, z = solution.x.numpy(), solution.states.z.numpy()
            images.append(np.clip(np.rint((x_1 + np.float32(1)) * np.float32(127.5)), 0, 255).astype(np.uint8))
            back = images[-1].astype(np.float32) / np.float32(127.5) - np.float32(1)
            states.append(z)
            costs.append(mean_squares(back - x_0.numpy()))
            remaining.append(np.mean([mean_squares(back - z[:, at].astype(np.float32)) for at in range(3)], axis=0))
            clipped += int((np.abs(x_1) > np.float32(1.05)).sum())
            squares += float(solution.states.squared_error) * len(batch)
        content = save(
            {
                "images": np.concatenate(images),
                "labels": sample_labels(key, indices, 3).int().numpy(),
                "states": np.concatenate(states),
            }
        )
        assert run.unfinished.path(shard).read_bytes() == content
        record = run.finished(shard)
        assert record.sha256 == hashlib.sha256(content).hexdigest()
        assert record.transport_costs == np.concatenate(costs).tolist()
        assert record.clipped_fraction == clipped / (len(indices) * 64)
        assert record.evaluations == record.samples_forward == 4 * len(indices)
        assert record.states == {
            "float16_error": (squares / len(indices)) ** 0.5,
            "remaining_cost": float(np.mean(np.concatenate(remaining))),
        }


def test_inverted_shards_are_to_the_byte_what_batch_after_batch_gives(runtime: Runtime, tmp_path: Path) -> None:
    sampler = class_sampler(runtime, tmp_path / "student")
    stored = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    images = SampleSet(stored, np.arange(12) % 3, "real")
    config = couplings(num_pairs=20, shard_pairs=20, image_to_noise=ImageToNoiseConfig(share=1, solver=EULER))
    run = made(sampler, config, tmp_path / "runs", images)
    chosen = EndlessOrder(config.seed, 12)(np.arange(20))
    x_1 = torch.from_numpy(stored[chosen]).float() / 127.5 - 1
    image_noise = sample_noise(stream_key("inversion", config.seed), range(20), (1, 8, 8))
    labels = torch.from_numpy(chosen % 3)
    x_0 = torch.cat(
        [sampler.invert(*(part[at : at + 8] for part in (x_1, image_noise)), EULER, labels[at : at + 8]).x
         for at in (0, 8, 16)]
    )  # fmt: skip
    expected = {"images": stored[chosen], "noise": x_0.half().numpy(), "labels": labels.int().numpy()}
    assert run.unfinished.path(0).read_bytes() == save(expected)
    noise = run.finished(0).noise
    assert noise.pop("float16_error") == float((x_0.half().float() - x_0).square().flatten().mean().sqrt())
    assert noise == vars(noise_normality(x_0.half()))


def test_the_next_shard_is_made_while_one_is_written(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    begun_third, original, order = threading.Event(), unfinished_module.write_shard, []

    def waits(path: Path, tensors: dict[str, torch.Tensor]) -> str:
        assert threading.current_thread() is not threading.main_thread()
        if path.name == "shard-000001.safetensors":
            assert begun_third.wait(60)
        order.append(path.name)
        return original(path, tensors)

    sampled, calls = Sampler.sample, 0

    def counts(self, x_0, solver, labels=None):
        nonlocal calls
        calls += 1
        if calls == 7:  # after two shards of three batches
            begun_third.set()
        return sampled(self, x_0, solver, labels)

    monkeypatch.setattr(unfinished_module, "write_shard", waits)
    monkeypatch.setattr(Sampler, "sample", counts)
    run = made(sampler, couplings(), tmp_path)
    assert order == [f"shard-00000{shard}.safetensors" for shard in range(3)]
    assert all(run.finished(shard) is not None for shard in range(3))


def test_the_noise_of_the_next_shard_is_drawn_while_a_shard_ends(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    drawn, sampled = {start: threading.Event() for start in (20, 40)}, Sampler.sample
    draw, calls = Sampler.draw, 0

    def noted(self, key, indices):
        result = draw(self, key, indices)
        if indices[0] in drawn:
            drawn[indices[0]].set()
        return result

    def waits(self, x_0, solver, labels=None):
        nonlocal calls
        calls += 1
        if calls in (3, 6):  # the last of three batches of 20 pairs
            assert drawn[20 * calls // 3].wait(60)
        return sampled(self, x_0, solver, labels)

    monkeypatch.setattr(Sampler, "draw", noted)
    monkeypatch.setattr(Sampler, "sample", waits)
    made(sampler, couplings(), tmp_path)
    assert calls == 8


def test_an_error_of_the_last_writing_is_raised(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    original = unfinished_module.write_shard

    def fails_at_the_last(path: Path, tensors: dict[str, torch.Tensor]) -> str:
        if path.name == "shard-000002.safetensors":
            raise OSError(5, "Input/output error", str(path))
        return original(path, tensors)

    monkeypatch.setattr(unfinished_module, "write_shard", fails_at_the_last)
    with pytest.raises(StraightflowError, match=r"shard-000002(.|\n)*finished shards"):
        made(sampler, couplings(), tmp_path)


def test_what_was_handed_over_is_written_before_another_error_is_raised() -> None:
    written = []

    def interrupted() -> None:
        with ShardWriter() as writer:
            writer.submit(lambda: written.append("a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written == ["a"]
