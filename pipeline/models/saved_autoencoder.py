"""An autoencoder's own folder, laid out as in a latent model's: ``vae/`` in diffusers' form, with hashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ModelMixin

from pipeline.data.order import evenly_spaced
from pipeline.data.sample_set import SampleSet
from pipeline.models.autoencoder_network import TrainableAutoencoder, stock_autoencoder
from pipeline.models.unit_latents import fold_into_weights, latent_scale
from pipeline.system.atomic import atomic_folder
from pipeline.system.blocks import batches_of
from pipeline.system.file_hashes import HASHES, write_hashes
from pipeline.system.progress import Progress
from pipeline.system.replacing import holding_only

PART = "vae"
MOST_MEASURED = 10_000
"""Images that the scale of latents is measured on."""
is_saved_autoencoder = holding_only(f"{PART}/config.json", f"{PART}/diffusion_pytorch_model*", HASHES)
"""Whether a folder holds an autoencoder as it is saved here, and nothing else."""


def save_autoencoder(network: ModelMixin, folder: Path) -> None:
    """Saves an autoencoder with the hashes of its files, atomically."""
    with atomic_folder(folder, ours=is_saved_autoencoder) as temporary:
        save_part(network, temporary)
        write_hashes(temporary)


def save_part(network: ModelMixin, folder: Path) -> None:
    """Saves an autoencoder in its place in the folder of something that has it."""
    network.save_pretrained(folder / PART)


def with_unit_latents(network: TrainableAutoencoder, images: SampleSet, *, batch_size: int) -> AutoencoderKL:
    """The stock network whose latents of ``images`` have zero mean in each channel and unit scale in all.

    They are measured in float32, on the network's device, of evenly spaced images, ``MOST_MEASURED`` at most: the
    scale of all of a larger split is theirs to about a percent. See :mod:`pipeline.models.unit_latents`.

    Args:
        network: As trained.
        images: The training split.
        batch_size: Images per call.

    Raises:
        StraightflowError: If a latent is not finite, or all are alike.
    """
    stock = stock_autoencoder(network)
    fold_into_weights(stock, latent_scale(_latents(stock, images, batch_size)))
    return stock


@torch.inference_mode()
def _latents(network: AutoencoderKL, images: SampleSet, batch_size: int) -> Iterator[torch.Tensor]:
    chosen = evenly_spaced(len(images), MOST_MEASURED)
    with Progress("measuring latents", len(chosen), "images") as progress:
        for part in batches_of(range(len(chosen)), batch_size):
            rows = chosen[part]
            yield network.encode(images.load(rows)["x_1"].to(network.device)).latent_dist.mean
            progress.advance(len(rows))
