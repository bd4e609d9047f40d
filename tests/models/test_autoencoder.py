"""Autoencoders: latents and images by their own formulas, counted, in blocks; what is refused, in one message."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, LDMPipeline
from helpers.small_autoencoder import SETTINGS, small_autoencoder
from helpers.small_unet import small_unet
from safetensors.torch import load_file, save_file

import pipeline.models.autoencoder as opened
from pipeline.data.space import LATENTS, PIXELS
from pipeline.models.autoencoder import open_autoencoder
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import write_hashes

KINDS = tuple(SETTINGS)
IMAGES, LATENT = (1, 8, 8), (2, 4, 4)


def saved(folder: Path, kind: str = "AutoencoderKL", part: str = "vae", **changes: object) -> Path:
    small_autoencoder(kind, **changes).save_pretrained(folder / part)
    return folder


def images(count: int) -> torch.Tensor:
    return torch.rand(count, *IMAGES, generator=torch.Generator().manual_seed(0)) * 2 - 1


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, *LATENT, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_latents_are_the_posteriors_mean_shifted_and_scaled_and_images_come_back_by_the_inverse(runtime, tmp_path):
    network, x, z = small_autoencoder(), images(3), latents(3)
    found = open_autoencoder(saved(tmp_path, shift_factor=0.25), runtime, LATENT)
    assert (found.image_shape, found.latent_shape) == (IMAGES, LATENT)

    mean = network.quant_conv(network.encoder(x))[:, :2]  # the other half is the logarithm of the variance
    assert torch.allclose(found.encode(x), (mean - 0.25) * 0.5, atol=1e-6)
    decoded = network.decoder(network.post_quant_conv(z / 0.5 + 0.25))  # as StableDiffusion3Pipeline
    assert torch.allclose(found.decode(z), decoded, atol=1e-6)
    assert found.decode(100 * z).abs().max() > 1  # not clipped


def test_images_are_encoded_in_float32_on_every_device(runtime, tmp_path, monkeypatch):
    found = open_autoencoder(saved(tmp_path), runtime, LATENT)
    encode, tf32 = found.network.encode, []
    monkeypatch.setattr(found.network, "encode", lambda x: tf32.append(torch.backends.cudnn.allow_tf32) or encode(x))
    found.encode(images(3))
    assert tf32 == [False]


def test_a_runtime_of_cuda_graphs_encodes_and_decodes_as_one_without(runtime, tmp_path):
    folder = saved(tmp_path)
    replayed = replace(runtime, compile=True, cuda_graphs=True)
    plain, graphs = (open_autoencoder(folder, chosen, LATENT) for chosen in (runtime, replayed))
    assert torch.equal(graphs.decode(latents(3)), plain.decode(latents(3)))
    assert torch.equal(graphs.encode(images(3)), plain.encode(images(3)))


@torch.no_grad()
def test_a_vq_model_decodes_the_nearest_entries_of_its_codebook(runtime, tmp_path):
    network, x, z = small_autoencoder("VQModel"), images(3), latents(3)
    found = open_autoencoder(saved(tmp_path, "VQModel", "vqvae"), runtime, LATENT)

    assert torch.allclose(found.encode(x), 2 * network.quant_conv(network.encoder(x)), atol=1e-6)
    entries, columns = network.quantize.embedding.weight, (z / 2).permute(0, 2, 3, 1)
    nearest = (columns[..., None, :] - entries).square().sum(-1).argmin(-1)
    quantised = entries[nearest].permute(0, 3, 1, 2)
    assert torch.allclose(found.decode(z), network.decoder(network.post_quant_conv(quantised)), atol=1e-6)


@torch.no_grad()
def test_a_tiny_autoencoder_has_no_posterior_and_no_scale(runtime, tmp_path):
    network, x, z = small_autoencoder("AutoencoderTiny"), images(3), latents(3)
    found = open_autoencoder(saved(tmp_path, "AutoencoderTiny"), runtime, LATENT)
    assert torch.allclose(found.encode(x), network.encoder(x), atol=1e-6)
    assert torch.allclose(found.decode(z), network.decoder(z), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_at_a_time_gives_the_same_and_every_sample_is_counted_once(kind: str, runtime, tmp_path, monkeypatch):
    found = open_autoencoder(saved(tmp_path, kind), runtime, LATENT)
    whole = found.decode(latents(5)), found.encode(images(7))
    assert (found.calls.decoded, found.calls.encoded) == (5, 7)

    monkeypatch.setattr(opened, "BLOCK_BYTES", 1)
    calls = []
    monkeypatch.setattr(opened, "images_of_raw", lambda network, z: calls.append(len(z)) or network.decode(z).sample)
    assert torch.allclose(found.decode(latents(5)), whole[0], atol=1e-6)
    assert torch.allclose(found.encode(images(7)), whole[1], atol=1e-6)
    assert calls == [1] * 5
    assert (found.calls.decoded, found.calls.encoded) == (10, 14)
    assert found.decode(latents(0)).shape == (0, *IMAGES)


def test_flops_are_those_of_the_convolutions(runtime, tmp_path):
    """A multiplication and an addition each: 2 · outputs · inputs · kernel · positions."""
    settings = {"num_encoder_blocks": (1,), "num_decoder_blocks": (1,)}
    settings |= {"encoder_block_out_channels": (4,), "decoder_block_out_channels": (4,)}
    found = open_autoencoder(saved(tmp_path, "AutoencoderTiny", **settings), runtime, (2, 8, 8))
    assert found.image_shape == (1, 8, 8)
    before = found.calls.copy()
    found.decode(torch.zeros(3, 2, 8, 8))
    found.encode(torch.zeros(2, 1, 8, 8))
    three = 2 * 9 * 64  # a kernel of 3×3 at 64 positions
    decoder = three * (2 * 4 + 3 * 4 * 4 + 4 * 1)  # in, a block of three, out
    encoder = three * (1 * 4 + 3 * 4 * 4 + 4 * 2)
    assert (found.decoding_flops, found.encoding_flops) == (decoder, encoder)
    computed = found.compute(before, 2.5)
    assert (computed.samples_forward, computed.samples_backward) == (5, 0)
    assert (computed.flops, computed.seconds) == (3 * decoder + 2 * encoder, 2.5)


def test_a_call_gets_as_many_images_as_is_said(runtime, tmp_path, monkeypatch):
    found = open_autoencoder(saved(tmp_path), runtime, LATENT)
    # Four images of the widest level, 8 channels of 8×8 floats of 4 bytes, are held for each.
    monkeypatch.setattr(opened, "BLOCK_BYTES", 3 * 4 * 8 * 8 * 8 * 4)
    decode, sizes = found.network.decode, []
    monkeypatch.setattr(found.network, "decode", lambda z: sizes.append(len(z)) or decode(z))
    found.decode(latents(7))
    assert sizes == [3, 3, 1]
    assert opened.images_at_once(found.network, IMAGES) == 3


def save_latent_model(folder: Path, **changes: object) -> None:
    """As the stock pipeline of an unconditional latent UNet saves it."""
    unet = small_unet(2, sample_size=4)
    LDMPipeline(small_autoencoder(**changes), unet, DDIMScheduler(clip_sample=False)).save_pretrained(folder)


def test_a_folder_with_an_autoencoder_is_a_model_of_latents_and_its_fingerprint_covers_it(runtime, tmp_path):
    save_latent_model(tmp_path / "model")
    sampler = load_sampler(tmp_path / "model", runtime)
    assert (sampler.space, sampler.shape, sampler.image_shape) == (LATENTS, LATENT, IMAGES)
    assert sampler.to_pixels(latents(2)).shape == (2, *IMAGES)

    save_latent_model(tmp_path / "other", scaling_factor=0.75)
    assert load_sampler(tmp_path / "other", runtime).fingerprint != sampler.fingerprint

    shutil.rmtree(tmp_path / "other" / "vqvae")
    pixels = load_sampler(tmp_path / "other", runtime)
    assert (pixels.space, pixels.image_shape) == (PIXELS, LATENT)
    z = latents(2)
    assert pixels.to_pixels(z) is z


def test_height_and_width_of_latents_are_those_of_the_model(runtime, tmp_path):
    found = open_autoencoder(saved(tmp_path), runtime, (2, 4, 6))
    assert found.image_shape == (1, 8, 12)
    assert found.encode(torch.zeros(1, 1, 8, 12)).shape == (1, 2, 4, 6)


def edit(folder: Path, **changes: object) -> Path:
    path = folder / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"_class_name": "AutoencoderDC"}, "AutoencoderDC"),
        ({"_class_name": None}, "None"),
        ({"scaling_factor": 0}, "scaling_factor"),
        ({"scaling_factor": "0.5"}, "scaling_factor"),
        ({"shift_factor": float("nan")}, "shift_factor"),
        ({"latents_mean": [0.0, 0.0]}, "latents_mean"),
        ({"latent_chanels": 2}, "latent_chanels"),
        ({"layers_per_block": 10**9}, "layers_per_block"),
        ({"out_channels": 3}, "1 in and 3 out"),
        ({"norm_num_groups": 3}, "ValueError"),
        ({"latent_channels": 3}, "expected shape"),
    ],
)
def test_settings_that_make_another_or_no_autoencoder_are_refused(changes: dict, found: str, runtime, tmp_path):
    with pytest.raises(StraightflowError, match=found):
        open_autoencoder(edit(saved(tmp_path), **changes), runtime, LATENT)


def test_a_shift_is_refused_where_the_stock_pipeline_ignores_it(runtime, tmp_path):
    with pytest.raises(StraightflowError, match=r"(?s)shift_factor of 0.*0\.25"):
        open_autoencoder(saved(tmp_path / "theirs", part="vqvae", shift_factor=0.25), runtime, LATENT)
    with pytest.raises(StraightflowError, match=r"(?s)shift_factor of 0.*0\.25"):
        save_student(small_unet(2, sample_size=4), tmp_path / "ours", saved(tmp_path / "shifted", shift_factor=0.25))
    assert not (tmp_path / "ours").exists()


def test_a_folder_without_one_or_with_two_is_refused(runtime, tmp_path):
    with pytest.raises(StraightflowError, match="vae or vqvae"):
        open_autoencoder(tmp_path, runtime, LATENT)
    saved(saved(tmp_path), "VQModel", "vqvae")
    with pytest.raises(StraightflowError, match="vae and vqvae"):
        open_autoencoder(tmp_path, runtime, LATENT)


def test_an_autoencoder_of_other_channels_than_the_model_is_refused(runtime, tmp_path):
    with pytest.raises(StraightflowError, match="2 channels"):
        open_autoencoder(saved(tmp_path), runtime, (4, 4, 4))


def test_weights_that_were_changed_pickled_or_not_finite_are_refused(runtime, tmp_path):
    folder = saved(tmp_path)
    write_hashes(folder)
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["quant_conv.bias"][0] = torch.nan
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(StraightflowError, match="as it was saved"):
        open_autoencoder(folder, runtime, LATENT)
    (folder / "sha256.json").unlink()
    with pytest.raises(StraightflowError, match="NaN or infinity in quant_conv"):
        open_autoencoder(folder, runtime, LATENT)
    weights.unlink()
    torch.save(tensors, folder / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(StraightflowError, match="safetensors"):
        open_autoencoder(folder, runtime, LATENT)
