"""The autoencoder of a latent model: images to latents and back, in the scale that its networks know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from diffusers import ModelMixin

from pipeline.models.accepted_autoencoder import (
    PARTS,
    AcceptedAutoencoder,
    accept_part,
    autoencoder_class,
    autoencoder_folder,
    images_of_raw,
    raw_latents,
)
from pipeline.models.counted import CodingCalls
from pipeline.models.diffusers_layout import read_json
from pipeline.models.flops import flops_of_call
from pipeline.models.networks import load_weights
from pipeline.models.runtime import Runtime
from pipeline.models.weights_files import has_safetensors
from pipeline.system.blocks import row_blocks, rows_at_once
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import require_unchanged

BLOCK_BYTES = 2**30
"""About what one call may hold of intermediate images: 1 GiB."""
_HELD_AT_ONCE = 4
"""Intermediate images of the widest level that a residual block holds."""


@dataclass(frozen=True)
class Autoencoder:
    """An opened autoencoder, as placed.

    Attributes:
        accepted: What its configuration says.
        image_shape: (channels, height, width) of images.
        latent_shape: (channels, height, width) of latents.
        network: As placed.
        runtime: What it runs on.
        calls: Samples that this process encoded and decoded so far.
    """

    accepted: AcceptedAutoencoder
    image_shape: tuple[int, int, int]
    latent_shape: tuple[int, int, int]
    network: torch.nn.Module
    runtime: Runtime
    calls: CodingCalls = field(default_factory=CodingCalls, compare=False)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Latents of images, the mean of their posterior: (mean - shift) · scale.

        Args:
            x: Images in [-1, 1], (batch, channels, height, width), of any number.

        Returns:
            Float32, (batch, …) of :attr:`latent_shape`, on the device.
        """

        def encode(images: torch.Tensor) -> torch.Tensor:
            return (raw_latents(self.network, images).float() - self.accepted.shift) * self.accepted.scale

        latents = self._in_blocks(encode, x, self.image_shape, self.latent_shape)
        self.calls.encoded += len(x)
        return latents

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Images of latents, not clipped; a ``VQModel`` quantises first, as its pipeline does.

        Args:
            latents: (batch, …) of :attr:`latent_shape`, of any number.

        Returns:
            Float32, about [-1, 1], (batch, …) of :attr:`image_shape`, on the device.
        """

        def decode(block: torch.Tensor) -> torch.Tensor:
            return images_of_raw(self.network, block / self.accepted.scale + self.accepted.shift).float()

        images = self._in_blocks(decode, latents, self.latent_shape, self.image_shape)
        self.calls.decoded += len(latents)
        return images

    @torch.inference_mode()
    def _in_blocks(
        self,
        call: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        shape: tuple[int, ...],
        result_shape: tuple[int, ...],
    ) -> torch.Tensor:
        if tuple(x.shape[1:]) != shape:
            raise ValueError(f"samples of shape {tuple(x.shape[1:])} for an autoencoder that takes {shape}")
        device = self.runtime.device
        results = [torch.empty(0, *result_shape, device=device)]
        with self.runtime.autocast():
            bytes_a_sample = _bytes_a_sample(self.network, self.image_shape)
            blocks = row_blocks(len(x), bytes_a_sample, block_bytes=BLOCK_BYTES)
            results += [call(x[rows].to(device, torch.float32)) for rows in blocks]
        return torch.cat(results)

    @cached_property
    def decoding_flops(self) -> int:
        """Floating-point operations of decoding one latent."""
        return flops_of_call(self.network, images_of_raw, self.latent_shape)

    @cached_property
    def encoding_flops(self) -> int:
        """Floating-point operations of encoding one image."""
        return flops_of_call(self.network, raw_latents, self.image_shape)

    def compute(self, since: CodingCalls, seconds: float) -> Compute:
        """What this process encoded and decoded since a copy of ``calls`` was taken, in this time."""
        done = self.calls - since
        flops = done.encoded * (self.encoding_flops if done.encoded else 0)
        flops += done.decoded * (self.decoding_flops if done.decoded else 0)
        return Compute(done.encoded + done.decoded, 0, flops, seconds)


def images_at_once(network: torch.nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Images of (channels, height, width) that one call of an autoencoder gets at most."""
    return rows_at_once(_bytes_a_sample(network, image_shape), block_bytes=BLOCK_BYTES)


def _bytes_a_sample(network: torch.nn.Module, image_shape: tuple[int, int, int]) -> int:
    _, height, width = image_shape
    widest = max(parameter.shape[0] for parameter in network.parameters())
    return _HELD_AT_ONCE * int(widest) * height * width * torch.float32.itemsize


def load_autoencoder(folder: Path) -> ModelMixin | None:
    """The autoencoder of a model's folder with its weights, on the CPU, in float32; None where it has none.

    Raises:
        StraightflowError: If a file of the folder is not as it was saved here, if it is refused by
            :func:`pipeline.models.accepted_autoencoder.accept_autoencoder`, or its weights are not in safetensors, not
            finite, or not exactly those of its configuration.
    """
    place = autoencoder_folder(folder)
    return None if place is None else _load(folder, place)[1]


def open_autoencoder(folder: Path, runtime: Runtime, latent_shape: tuple[int, ...]) -> Autoencoder:
    """Opens the autoencoder of a model's folder, in ``vae/`` or ``vqvae/``.

    Args:
        folder: The model's folder.
        runtime: What it runs on.
        latent_shape: Of the run's latents, or of the model's samples.

    Raises:
        StraightflowError: As :func:`load_autoencoder`; or if there is none, or if its latents have other channels.
    """
    place = autoencoder_folder(folder)
    if place is None:
        raise StraightflowError(
            expected=f"an autoencoder in {folder}, in {' or '.join(PARTS)}",
            found="neither",
            mend="name the folder of a latent model, saved by its pipeline",
        )
    accepted, network = _load(folder, place)
    require_latents_of(accepted, latent_shape, str(place))
    channels, height, width = latent_shape
    # Compilation is of a network's own call, which encode and decode do not pass; a CUDA graph would hide them.
    eager = replace(runtime, compile=False, cuda_graphs=False)
    return Autoencoder(
        accepted=accepted,
        image_shape=accepted.image_shape(latent_shape),
        latent_shape=(channels, height, width),
        network=eager.place(network),
        runtime=runtime,
    )


def require_latents_of(accepted: AcceptedAutoencoder, shape: tuple[int, ...], origin: str) -> None:
    """Checks that a model whose samples have ``shape`` makes latents of this autoencoder.

    Raises:
        StraightflowError: If it does not.
    """
    if len(shape) != 3 or shape[0] != accepted.latent_channels:
        raise StraightflowError(
            expected=f"a model of {accepted.latent_channels} channels, as the latents of the autoencoder in {origin}",
            found=f"one of samples of shape {shape}",
            mend="put the network and the autoencoder of one model together, or name another model",
        )


def _load(folder: Path, place: Path) -> tuple[AcceptedAutoencoder, ModelMixin]:
    require_unchanged(folder)
    return load_placed(place)


def load_placed(place: Path) -> tuple[AcceptedAutoencoder, ModelMixin]:
    """The autoencoder whose own folder is ``place``, with its weights, on the CPU, in float32.

    Raises:
        StraightflowError: As :func:`load_autoencoder`, but for what hashes say.
    """
    accepted = accept_part(read_json(place / "config.json"), place.name, str(place))
    if not has_safetensors(place):
        raise StraightflowError(
            expected=f"weights in safetensors in {place}",
            found="none",
            mend="open the autoencoder with diffusers and save it again with save_pretrained, which writes safetensors",
        )
    return accepted, load_weights(place, autoencoder_class(accepted.kind))
