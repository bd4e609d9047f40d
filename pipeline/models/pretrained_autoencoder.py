"""Autoencoders that are brought along or to be trained here, as ``check`` and the stage accept them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin

from pipeline.config.autoencoder import AutoencoderConfig, AutoencoderTraining
from pipeline.config.model_names import TEACHER
from pipeline.config.pretrained import Promised
from pipeline.models.accepted_autoencoder import AcceptedAutoencoder, accept_part, require_promised_autoencoder
from pipeline.models.autoencoder import load_placed
from pipeline.models.autoencoder_network import build_autoencoder
from pipeline.models.companions import VQVAE_PART
from pipeline.models.diffusers_layout import read_json
from pipeline.models.hub_autoencoder import CONFIG, commit_on_hub, download_autoencoder, own_place
from pipeline.models.named_folder import is_here
from pipeline.models.saved_autoencoder import save_autoencoder
from pipeline.models.trial_call import trial
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import require_present_unchanged, require_unchanged
from pipeline.system.fingerprint import fingerprint_folder


def check_autoencoder(
    settings: AutoencoderConfig | None, image_shape: tuple[int, ...], previous: Mapping[str, object]
) -> dict[str, object]:
    """Checks the configured autoencoder, unless it comes with the teacher, which is checked with it.

    Args:
        settings: The configured one; None of a run without.
        image_shape: (channels, height, width) of the data.
        previous: What ``check`` recorded before; where the hub does not answer now, it vouches for an autoencoder that
            was reached then.

    Returns:
        What the stage depends on besides the configuration: source and fingerprint of one that is brought along, under
        ``autoencoder``; else nothing. The fingerprint of one on the hub is the commit that is read.

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
    name = settings.source
    if is_here(name, "autoencoder.source", "an autoencoder"):
        _open_here(settings, image_shape)
        found = fingerprint_folder(Path(name))
    else:
        found = commit_on_hub(
            name,
            partial(_accept, settings, image_shape),
            partial(_open_downloaded, settings, image_shape),
            _recorded(previous, name),
        )
    return {"autoencoder": {"source": name, "fingerprint": found}}


def adopt_autoencoder(
    settings: AutoencoderConfig, image_shape: tuple[int, ...], folder: Path, commit: str | None
) -> None:
    """Saves the autoencoder that is brought along in ``folder``.

    Args:
        settings: The configured one.
        image_shape: (channels, height, width) of the data.
        folder: Where it goes.
        commit: The version on the hub, as check recorded it; None for a local folder.

    Raises:
        StraightflowError: As :func:`check_autoencoder`; or if it cannot be downloaded.
    """
    if commit is None:
        network = _open_here(settings, image_shape)
    else:
        network = _open_downloaded(settings, image_shape, download_autoencoder(settings.source, commit))
    save_autoencoder(network, folder)


def _open_here(settings: AutoencoderConfig, image_shape: tuple[int, ...]) -> ModelMixin:
    folder = Path(settings.source)
    require_unchanged(folder)
    return _open(settings, image_shape, folder)


def _open_downloaded(settings: AutoencoderConfig, image_shape: tuple[int, ...], folder: Path) -> ModelMixin:
    require_present_unchanged(folder)
    return _open(settings, image_shape, folder)


def _open(settings: AutoencoderConfig, image_shape: tuple[int, ...], folder: Path) -> ModelMixin:
    """The autoencoder in ``folder``, on the CPU, as configured."""
    place = own_place(folder)
    if place is None:
        raise StraightflowError(
            expected=f"an autoencoder at {settings.source}, by itself or in its subfolder vae or vqvae, as "
            "autoencoder.source says",
            found="none",
            mend="name the folder or the hub id of a latent model or of an autoencoder, or write source: train",
        )
    _accept(settings, image_shape, read_json(place / CONFIG), settings.source)
    return load_placed(place)[1]


def _accept(
    settings: AutoencoderConfig, image_shape: tuple[int, ...], config: Mapping[str, Any], origin: str
) -> AcceptedAutoencoder:
    found = accept_part(config, VQVAE_PART, origin)  # its latents are learned by UNets, whose pipeline is of this part
    promised = Promised().of_latents(settings, image_shape[0])
    require_promised_autoencoder(found, origin, promised, settings.source)
    return found


def _recorded(previous: Mapping[str, object], name: str) -> str | None:
    """The commit of ``name`` that an earlier check recorded."""
    record = previous.get("autoencoder")
    fingerprint = record.get("fingerprint") if isinstance(record, dict) and record.get("source") == name else None
    return fingerprint if isinstance(fingerprint, str) else None


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
