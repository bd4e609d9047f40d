"""Models of latents are measured in pixels: decoded by their autoencoder, untimed, and counted by itself."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings
from helpers.small_autoencoder import small_autoencoder, with_autoencoder
from helpers.small_unet import small_unet
from helpers.sweep_setting import EXTRACTOR, cells, config, few_step_fid, reference

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.config.solver import SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.pixels import to_uint8
from pipeline.evaluation.by_class import draw_class_grid
from pipeline.evaluation.drawn_trajectories import draw_trajectories
from pipeline.evaluation.images import ImageMeasure
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import moments_of
from pipeline.models.autoencoder import Autoencoder
from pipeline.models.networks import set_null_class
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import draw_images
from pipeline.models.student import save_student
from pipeline.system.code import NO_CODE

KEY = stream_key("evaluation", 0)


@pytest.fixture
def sampler(tmp_path: Path, runtime: Runtime) -> Sampler:
    torch.set_num_threads(1)
    save_student(small_unet(2, sample_size=4), tmp_path / "student", with_autoencoder(tmp_path))
    return load_sampler(tmp_path / "student", runtime)


def measure_of(sampler: Sampler, folder: Path) -> ImageMeasure:
    references = (reference(folder, sampler.runtime),)
    drawn_of = DrawnTrajectories(along_ode=False, num_steps=(2,))
    cells_of = tuple(cells())
    return ImageMeasure(
        config(num_samples=66), lambda _: cells_of, lambda _: drawn_of, references, folder / "cells", NO_CODE
    )


@torch.no_grad()
def decoded(latents: torch.Tensor) -> torch.Tensor:
    """uint8, by the parts of diffusers: latents are divided by the scale of 0.5."""
    return to_uint8(small_autoencoder().decode(latents / 0.5).sample)


def drawn(sampler: Sampler, num_steps: int, count: int) -> torch.Tensor:
    noise = sample_noise(KEY, range(count), (2, 4, 4))
    return decoded(sampler.sample(noise, SolverConfig(name="euler", num_steps=num_steps)).x)


def test_cells_measure_decoded_images_and_count_decoding_by_itself(sampler: Sampler, tmp_path: Path) -> None:
    measure = measure_of(sampler, tmp_path)
    content, images = measure.evaluate(sampler, "student")
    expected = drawn(sampler, 2, 66)
    assert images["euler/2"].shape == (5, 1, 8, 8)
    assert np.abs(images["euler/2"].astype(int) - expected[:5].numpy().astype(int)).max() <= 1
    fid = frechet_distance(moments_of(EXTRACTOR.extract(expected)), measure.references[0].frechet.moments)
    assert content["rows"][1]["fid"] == pytest.approx(fid, rel=1e-3)
    decoding = content["decoding"]
    assert (decoding["samples_forward"], decoding["samples_backward"]) == (2 * 66, 0)
    assert decoding["flops"] == 2 * 66 * sampler.autoencoder.decoding_flops
    assert decoding["seconds"] > 0
    assert content["compute"]["flops"] % sampler.flops_per_sample.forward == 0
    again = measure.evaluate(sampler, "student")[0]
    assert again["decoding"] == decoding  # of cells that were measured before


def test_decoding_is_not_timed_as_sampling(sampler: Sampler, tmp_path: Path, monkeypatch) -> None:
    decode, clock = Autoencoder.decode, [0.0]

    def slow(self: Autoencoder, latents: torch.Tensor) -> torch.Tensor:
        clock[0] += 1000.0
        return decode(self, latents)

    monkeypatch.setattr(Autoencoder, "decode", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    content, _ = measure_of(sampler, tmp_path).evaluate(sampler, "student")
    assert [row["seconds_per_1000"] for row in content["rows"]] == [0, 0]
    assert content["decoding"]["seconds"] == 2 * 9 * 1000  # 9 batches of 8 hold 66 samples


def test_quick_fids_and_drawn_images_are_of_decoded_images(sampler: Sampler, runtime: Runtime, tmp_path: Path) -> None:
    expected = drawn(sampler, 2, 66)
    images = draw_images(sampler, SolverConfig(name="euler", num_steps=2), KEY, range(5))
    assert np.abs(images.astype(int) - expected[:5].numpy().astype(int)).max() <= 1
    real = reference(tmp_path, runtime).frechet.moments
    fid = frechet_distance(moments_of(EXTRACTOR.extract(expected)), real)
    assert few_step_fid(tmp_path, runtime) == pytest.approx(fid, rel=1e-3)


def test_couplings_are_measured_as_their_source_decodes_them(sampler: Sampler, tmp_path: Path) -> None:
    generate_couplings(sampler, couplings(dtype="float16"), tmp_path / "runs", tmp_path / "store")
    store, before = CouplingStore(tmp_path / "store"), sampler.decoded
    measure = measure_of(sampler, tmp_path)
    row, *_ = measure.couplings_rows("round1", store, sampler)
    expected = decoded(store.x_1(np.arange(50)))
    fid = frechet_distance(moments_of(EXTRACTOR.extract(expected)), measure.references[0].frechet.moments)
    assert (row.num_samples, row.fid) == (50, pytest.approx(fid, rel=1e-3))
    assert sampler.decoding(before, 1.0).samples_forward == 50


def test_trajectories_are_measured_in_latents(sampler: Sampler) -> None:
    before = sampler.decoded
    measure_model_trajectories(sampler, config())
    assert sampler.decoded == before


def test_drawn_trajectories_are_decoded_at_every_time(sampler: Sampler) -> None:
    """A step from noise is a straight line in latents, of which each state is decoded by itself."""
    (found,) = draw_trajectories(sampler, DrawnTrajectories(along_ode=False, num_steps=(1,)), seed=0)
    x_0 = sampler.draw(KEY, range(8))[0]
    x_1 = sampler.sample(x_0, SolverConfig(name="euler", num_steps=1)).x
    times = [step / 8 for step in range(9)]
    states = np.stack([decoded(x_0 + t * (x_1 - x_0)).numpy() for t in times], axis=1)
    headings = np.stack([decoded(x_1).numpy()] * len(times), axis=1)
    assert found.states.shape == (8, 9, 1, 8, 8)
    assert np.abs(found.states.astype(int) - states).max() <= 1
    assert np.abs(found.headings.astype(int) - headings).max() <= 1


def test_the_grid_of_classes_holds_decoded_images(runtime: Runtime, tmp_path: Path) -> None:
    network = small_unet(2, sample_size=4, num_class_embeds=3)
    set_null_class(network, 2)
    save_student(network, tmp_path / "classes", with_autoencoder(tmp_path))
    sampler, solver = load_sampler(tmp_path / "classes", runtime), SolverConfig(name="euler", num_steps=1)
    shown, grid = draw_class_grid(sampler, solver, config())
    assert (shown, grid.shape[2:]) == ((0, 1), (1, 8, 8))
    noise = sample_noise(KEY, range(grid.shape[1]), (2, 4, 4))
    for label in shown:
        expected = decoded(sampler.sample(noise, solver, torch.full((len(noise),), label)).x).numpy()
        assert np.abs(grid[label].astype(int) - expected).max() <= 1
