"""Autoencoders that are brought along or to be trained here, as ``check`` and the stage accept them."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ModelMixin

from pipeline.config.autoencoder import TEACHER, AutoencoderConfig, AutoencoderTraining
from pipeline.config.pretrained import Promised
from pipeline.models.accepted_autoencoder import autoencoder_folder, read_autoencoder, require_promised_autoencoder
from pipeline.models.autoencoder import load_autoencoder
from pipeline.models.autoencoder_network import build_autoencoder
from pipeline.models.saved_autoencoder import save_autoencoder
from pipeline.models.trial_call import trial
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder


def check_autoencoder(settings: AutoencoderConfig | None, image_shape: tuple[int, ...]) -> dict[str, object]:
    """Checks the configured autoencoder, unless it comes with the teacher, which is checked with it.

    Returns:
        What the stage depends on besides the configuration: source and fingerprint of one that is brought along, under
        ``autoencoder``; else nothing.

    Raises:
        StraightflowError: If one to be trained cannot be built for the images, or one brought along is missing, cannot
            be read, or is not as configured.
    """
    if settings is None or settings.source == TEACHER:
        return {}
    channels, height, width = image_shape
    if settings.trained is not None:
        _require_trainable(settings.trained, (channels, height, width), settings.latent_channels)
        return {}
    open_own(settings, image_shape)
    found = fingerprint_folder(Path(settings.source))
    return {"autoencoder": {"source": settings.source, "fingerprint": found}}


def adopt_autoencoder(settings: AutoencoderConfig, image_shape: tuple[int, ...], folder: Path) -> None:
    """Saves the autoencoder that is brought along in ``folder``.

    Raises:
        StraightflowError: As :func:`check_autoencoder`.
    """
    save_autoencoder(open_own(settings, image_shape), folder)


def open_own(settings: AutoencoderConfig, image_shape: tuple[int, ...]) -> ModelMixin:
    """The autoencoder at the configured path, on the CPU, as configured.

    Raises:
        StraightflowError: If it is missing, cannot be read, or is not as configured.
    """
    folder = Path(settings.source)
    if not folder.is_dir() or autoencoder_folder(folder) is None:
        raise StraightflowError(
            expected=f"an autoencoder at {settings.source}, in its subfolder vae or vqvae, as autoencoder.source says",
            found="none" if folder.is_dir() else "no such folder",
            mend="name the folder of a latent model or of an autoencoder that was trained here, or write source: train",
        )
    promised = Promised().of_latents(settings, image_shape[0])
    require_promised_autoencoder(read_autoencoder(folder), settings.source, promised)
    network = load_autoencoder(folder)
    assert network is not None  # its folder is there
    return network


def _require_trainable(trained: AutoencoderTraining, shape: tuple[int, int, int], latent_channels: int) -> None:
    """Checks that it can be built and called, and gives images back in their shape."""
    with trial(
        f"an autoencoder by autoencoder.network that can be built, and called with images of {shape}",
        "correct autoencoder.network",
    ):
        network = build_autoencoder(trained.network, shape, latent_channels, trained.train.seed)
        found = tuple(network(torch.empty(1, *shape), torch.zeros(1)).sample.shape[1:])
    if found != shape:
        raise StraightflowError(
            expected=f"an autoencoder whose reconstructions have the shape of the images, {shape}",
            found=str(found),
            mend="give autoencoder.downsampling that divides data.resolution",
        )
