"""Pairs made from real images, and pairs with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, student_sampler
from helpers.small_unet import small_unet
from pydantic import ValidationError

from pipeline.config.couplings import GateConfig, ImageToNoiseConfig
from pipeline.config.network import MLPConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.sample_set import SampleSet
from pipeline.flow.noise import sample_labels, sample_noise, stream_key
from pipeline.models.networks import build_network
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder

BACKWARD = ImageToNoiseConfig(share=0.6, solver=SolverConfig(name="heun", num_steps=3))
GATE = GateConfig(max_clipped_fraction=1.0, max_reintegration_error=10.0, reintegrated_pairs=8)


@pytest.fixture
def real() -> SampleSet:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (13, 1, 8, 8), dtype=np.uint8)
    return SampleSet(images, generator.integers(0, 3, 13), "of these images")


@pytest.fixture
def conditional(runtime, tmp_path: Path) -> Sampler:
    unet = small_unet(num_class_embeds=3)
    with torch.no_grad():
        unet.class_embedding.weight.mul_(20)  # so that classes are far apart
    return student_sampler(unet, runtime, tmp_path / "conditional")


def test_a_stated_share_of_pairs_is_made_from_real_images(sampler: Sampler, real: SampleSet, tmp_path: Path) -> None:
    config = couplings(image_to_noise=BACKWARD)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", real)
    store = CouplingStore(tmp_path / "store")
    assert [shard.direction for shard in store.manifest.shards] == ["noise_to_image", *["image_to_noise"] * 2]
    assert store.manifest.nfe_mean == (20 * 2 + 30 * 6) / 50

    pairs = store.load(np.arange(50))
    forward, backward = np.arange(20), np.arange(20, 50)
    assert torch.equal(pairs["x_0"][:20], sample_noise(stream_key("couplings", 7), forward.tolist(), (1, 8, 8)))
    stored = store.images(backward).numpy()
    # Thirty pairs of thirteen images: each image twice before any comes a third time.
    counts = [(real.samples == image).all((1, 2, 3)).nonzero()[0].item() for image in stored]
    assert sorted(counts[:13]) == sorted(counts[13:26]) == list(range(13))

    image_noise = sample_noise(stream_key("inversion", 7), backward.tolist(), (1, 8, 8))
    exact = sampler.invert(pairs["x_1"][20:], image_noise, BACKWARD.solver).x
    assert ((pairs["x_0"][20:] - exact).abs() <= 2**-11 * exact.abs() + 1e-5).all()


def test_the_manifest_says_how_normal_the_noise_is_and_what_storing_it_costs(
    sampler: Sampler, real: SampleSet, tmp_path: Path
) -> None:
    generate_couplings(sampler, couplings(image_to_noise=BACKWARD), tmp_path / "runs", tmp_path / "store", real)
    store = CouplingStore(tmp_path / "store")
    assert store.manifest.shards[0].noise is None
    noise = store.manifest.shards[1].noise
    assert noise is not None
    x_0 = store.load(np.arange(20, 40))["x_0"]
    assert noise.mean == pytest.approx(x_0.mean().item(), abs=1e-6)
    assert noise.variance == pytest.approx(x_0.var(correction=0).item(), rel=1e-5)
    assert noise.norm_ratio == pytest.approx(x_0.flatten(1).norm(dim=1).mean().item() / 8, rel=1e-5)
    # Rounding to float16 is uniform within half a unit of 2^-10 of the power of two below.
    assert 0 < noise.float16_error < 2**-11 * x_0.square().mean().sqrt().item()


def test_pairs_from_images_do_not_depend_on_batch_size_and_resume(
    sampler: Sampler, real: SampleSet, tmp_path: Path
) -> None:
    for name, batch_size in (("a", 8), ("b", 50), ("c", 8)):
        config = couplings(image_to_noise=BACKWARD, batch_size=batch_size)
        generate_couplings(sampler, config, tmp_path / "runs", tmp_path / name, real)
    assert fingerprint_folder(tmp_path / "a") == fingerprint_folder(tmp_path / "c")
    first, second = (CouplingStore(tmp_path / name).load(np.arange(50)) for name in ("a", "b"))
    assert torch.allclose(first["x_0"], second["x_0"], atol=5e-3)
    assert torch.equal(first["x_1"][20:], second["x_1"][20:])


def test_points_taken_to_noise_stay_where_they_are(runtime, tmp_path: Path) -> None:
    network = build_network(MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=8.0), (2,), 0)
    sampler = student_sampler(network, runtime, tmp_path / "flow")
    points = 4 * np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    config = couplings(image_to_noise=BACKWARD, dtype="float32")
    real = SampleSet(points, None, "of these points")
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", real)
    kept = CouplingStore(tmp_path / "store").load(np.arange(20, 50))["x_1"].numpy()
    assert np.array_equal(kept[np.lexsort(kept.T)], points[np.lexsort(points.T)])


def test_the_gate_measures_image_to_noise_to_image(sampler: Sampler, real: SampleSet, tmp_path: Path) -> None:
    config = couplings(image_to_noise=BACKWARD)
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", real)
    check = check_couplings(CouplingStore(tmp_path / "store"), config, GATE, sampler)
    assert check.inversion_error is not None
    assert check.inversion_error > 0


def test_a_share_that_leaves_part_of_a_shard_is_refused() -> None:
    with pytest.raises(ValidationError, match="whole shards of 20"):
        couplings(image_to_noise=ImageToNoiseConfig(share=0.5, solver=BACKWARD.solver))


def test_images_that_do_not_fit_are_refused(sampler: Sampler, real: SampleSet, tmp_path: Path) -> None:
    config = couplings(image_to_noise=BACKWARD)
    wrong = SampleSet(real.samples.repeat(3, axis=1), None, "")
    for images, message in ((None, "none"), (wrong, r"\(3, 8, 8\)")):
        with pytest.raises(StraightflowError, match=message):
            generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store", images)


def test_labels_are_uniform_and_belong_to_the_index() -> None:
    key = stream_key("couplings", 0)
    labels = sample_labels(key, range(3000), 3)
    counts = torch.bincount(labels, minlength=3)
    assert (counts - 1000).abs().max() < 5 * (3000 * 2 / 9) ** 0.5
    assert torch.equal(sample_labels(key, [17, 4], 3), labels[[17, 4]])
    assert not torch.equal(sample_labels(stream_key("couplings", 1), range(50), 3), labels[:50])


def test_a_class_conditional_source_stores_the_label_that_made_the_image(
    conditional: Sampler, real: SampleSet, tmp_path: Path
) -> None:
    config = couplings(image_to_noise=BACKWARD)
    generate_couplings(conditional, config, tmp_path / "runs", tmp_path / "store", real)
    store = CouplingStore(tmp_path / "store")
    assert store.manifest.num_classes == 3
    pairs = store.load(np.arange(50))
    assert torch.equal(pairs["labels"][:20], sample_labels(stream_key("couplings", 7), range(20), 3))
    drawn = conditional.sample(pairs["x_0"][:20], config.solver, pairs["labels"][:20]).x.clamp(-1, 1)
    assert (pairs["x_1"][:20] - drawn).abs().max() <= 0.5 / 127.5 + 1e-4
    others = conditional.sample(pairs["x_0"][:20], config.solver, (pairs["labels"][:20] + 1) % 3).x.clamp(-1, 1)
    assert (pairs["x_1"][:20] - others).abs().max() > 0.05
    of_image = {image.tobytes(): label for image, label in zip(real.samples, real.labels, strict=True)}
    stored = store.images(np.arange(20, 50)).numpy()
    assert [of_image[image.tobytes()] for image in stored] == pairs["labels"][20:].tolist()
    check_couplings(store, config, GATE, conditional)


def test_labels_where_there_should_be_none_and_none_where_there_should_be_are_refused(
    sampler: Sampler, conditional: Sampler
) -> None:
    x_0, solver = torch.zeros(2, 1, 8, 8), SolverConfig(name="euler", num_steps=1)
    with pytest.raises(StraightflowError, match="labels of 3 classes"):
        conditional.sample(x_0, solver)
    with pytest.raises(StraightflowError, match="no labels"):
        sampler.sample(x_0, solver, torch.zeros(2, dtype=torch.int64))
