"""Which autoencoders are opened: decided from their configuration alone, for `check` and for whoever opens one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from diffusers import ModelMixin
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.model_names import TEACHER
from pipeline.config.network import MOST_LEVELS, LayerCount
from pipeline.config.pretrained import Promised
from pipeline.config.section import FiniteFloat, PositiveFloat, PositiveInt
from pipeline.models.diffusers_layout import read_json
from pipeline.models.network_settings import require_known_names
from pipeline.models.trial_call import trial
from pipeline.system.errors import StraightflowError, validation_problems

PARTS = ("vae", "vqvae")
"""Subfolders of a model's folder that may hold its autoencoder, as stock pipelines name them."""
KINDS = ("AutoencoderKL", "AutoencoderTiny", "VQModel")

_Levels = Annotated[list[PositiveInt], Field(min_length=1, max_length=MOST_LEVELS)]


class _Settings(BaseModel):
    """What all kinds have; nothing is converted. What a kind has not keeps the default here, which it ignores."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    in_channels: PositiveInt = 3
    out_channels: PositiveInt = 3
    latent_channels: PositiveInt
    block_out_channels: _Levels = [64]
    encoder_block_out_channels: _Levels | None = None
    decoder_block_out_channels: _Levels | None = None
    num_encoder_blocks: Annotated[list[LayerCount], Field(max_length=MOST_LEVELS)] = []
    num_decoder_blocks: Annotated[list[LayerCount], Field(max_length=MOST_LEVELS)] = []
    layers_per_block: LayerCount = 1
    scaling_factor: PositiveFloat = 0.18215  # the default of AutoencoderKL and VQModel
    shift_factor: FiniteFloat | None = None
    latents_mean: None = None
    latents_std: None = None
    sample_size: PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] = 32


_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "AutoencoderKL": {"latent_channels": 4},
    "AutoencoderTiny": {"latent_channels": 4, "scaling_factor": 1.0, "encoder_block_out_channels": [64] * 4},
    "VQModel": {"latent_channels": 3},
}


@dataclass(frozen=True)
class AcceptedAutoencoder:
    """What the configuration of an autoencoder says.

    Attributes:
        kind: Its class in diffusers, one of :data:`KINDS`.
        image_channels: Of images.
        latent_channels: Of latents.
        downsampling: Side of an image ÷ side of its latent.
        scale: Latents of networks are (latents of the autoencoder - shift) · scale (Rombach et al. 2022, app. G).
        shift: See ``scale``; 0 where there is none.
    """

    kind: str
    image_channels: int
    latent_channels: int
    downsampling: int
    scale: float
    shift: float

    def image_shape(self, latent_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(channels, height, width) of the images of latents of this shape."""
        _, height, width = latent_shape
        return self.image_channels, height * self.downsampling, width * self.downsampling

    def latent_shape(self, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of this shape, whose sides it divides."""
        _, height, width = image_shape
        return self.latent_channels, height // self.downsampling, width // self.downsampling


def autoencoder_folder(folder: Path) -> Path | None:
    """Where a model's folder holds its autoencoder; None where it has none.

    Raises:
        StraightflowError: If it holds two.
    """
    part = autoencoder_part(lambda name: (folder / name).is_file(), str(folder))
    return None if part is None else folder / part


def autoencoder_part(is_file: Callable[[str], bool], origin: str) -> str | None:
    """The one of :data:`PARTS` that a model's autoencoder lies in; None where it has none.

    Args:
        is_file: Whether the model has a file of this name.
        origin: Names it in errors.

    Raises:
        StraightflowError: If it has two.
    """
    found = [part for part in PARTS if is_file(f"{part}/config.json")]
    if len(found) > 1:
        raise StraightflowError(
            expected=f"one autoencoder in {origin}",
            found=" and ".join(found),
            mend="move the one that is not of the model elsewhere, or name another model",
        )
    return found[0] if found else None


def read_autoencoder(folder: Path) -> AcceptedAutoencoder | None:
    """:func:`accept_autoencoder` of a model's folder on this machine; None where it has none."""
    place = autoencoder_folder(folder)
    return None if place is None else accept_part(read_json(place / "config.json"), place.name, str(place))


def autoencoder_class(kind: str) -> type[ModelMixin]:
    """The class of one of :data:`KINDS`; nothing is imported by a name from a file."""
    from diffusers import AutoencoderKL, AutoencoderTiny, VQModel

    classes: dict[str, type[ModelMixin]] = {item.__name__: item for item in (AutoencoderKL, AutoencoderTiny, VQModel)}
    return classes[kind]


def accept_part(config: Mapping[str, Any], part: str, origin: str) -> AcceptedAutoencoder:
    """:func:`accept_autoencoder` of a model's part, one of :data:`PARTS`, whose pipeline must know what it says.

    Raises:
        StraightflowError: If it is refused, or as :func:`require_no_shift` where the pipeline is ``LDMPipeline``.
    """
    accepted = accept_autoencoder(config, origin)
    if part == "vqvae":
        require_no_shift(accepted.shift, origin)
    return accepted


def require_no_shift(shift: float | None, origin: str) -> None:
    """Checks that an autoencoder goes with ``LDMPipeline``, which decodes latents ÷ scale and ignores a shift.

    Raises:
        StraightflowError: If it has a shift.
    """
    if shift:
        raise StraightflowError(
            expected=f"a shift_factor of 0 in {origin}, as LDMPipeline, the stock pipeline of latent UNets, ignores it",
            found=f"{shift:g}",
            mend="fold it into the autoencoder's first and last convolutions, or name another model",
        )


def accept_autoencoder(config: Mapping[str, Any], origin: str) -> AcceptedAutoencoder:
    """Decides from its configuration whether an autoencoder can be opened.

    Args:
        config: Content of its ``config.json``.
        origin: Names it in errors.

    Raises:
        StraightflowError: If it is of another kind, has settings that are not known, out of range or ignored by stock
            pipelines (a mean and a deviation for each channel), or cannot be built and called.
    """
    kind = str(config.get("_class_name"))
    if kind not in KINDS:
        raise StraightflowError(
            expected=f"an autoencoder of one of the kinds {', '.join(KINDS)} in {origin}",
            found=kind[:80],
            mend="name a model with one of them",
        )
    # AutoencoderTiny saves its decoder's channels once more, under the name that the others have.
    require_known_names(config, (*_parameters(kind), "block_out_channels"), kind, origin)
    try:
        settings = _Settings.model_validate({**_DEFAULTS[kind], **config})
    except ValidationError as error:
        raise StraightflowError(
            expected=f"settings of an {kind} that it can be opened with, in {origin}",
            found=validation_problems(error)[:500],
            mend="correct config.json to what it was trained with, or name another model",
        ) from error
    if settings.in_channels != settings.out_channels:
        raise StraightflowError(
            expected=f"as many output channels as input channels in {origin}, an autoencoder",
            found=f"{settings.in_channels} in and {settings.out_channels} out",
            mend="correct config.json, or name another model",
        )
    levels = settings.encoder_block_out_channels if kind == "AutoencoderTiny" else settings.block_out_channels
    accepted = AcceptedAutoencoder(
        kind=kind,
        image_channels=settings.in_channels,
        latent_channels=settings.latent_channels,
        downsampling=2 ** (len(levels or []) - 1),
        scale=settings.scaling_factor,
        shift=settings.shift_factor or 0.0,
    )
    _require_halves_fit(accepted, config, origin)
    return accepted


def require_promised_autoencoder(
    found: AcceptedAutoencoder | None, name: str, promised: Promised, source: str = TEACHER
) -> None:
    """Checks that the teacher ``name`` has the configured autoencoder, or none where none is configured.

    With another ``source``, as ``autoencoder.source`` names it, it is one by itself that is so called.

    Raises:
        StraightflowError: If it does not.
    """
    wanted = promised.autoencoder
    if found is None and wanted is None:
        return
    if found is None:
        raise StraightflowError(
            expected=f"an autoencoder in the folder of {name}, in {' or '.join(PARTS)}, as autoencoder.source says",
            found="none: it is no model of latents",
            mend="set autoencoder: null, or name another teacher",
        )
    noun = "teacher" if source == TEACHER else "autoencoder"
    written = f"autoencoder: {{source: {source}, latent_channels: {found.latent_channels}, downsampling: "
    written += f"{found.downsampling}}}"
    if wanted is None:
        raise StraightflowError(
            expected=f"a teacher of the data's own samples, as autoencoder is null, in {name}",
            found=f"one of latents, by its {found.kind}",
            mend=f"write {written}, or name another {noun}",
        )
    if (found.latent_channels, found.downsampling) != (wanted.latent_channels, wanted.downsampling):
        raise StraightflowError(
            expected=f"an autoencoder of {wanted.latent_channels} latent channels and downsampling "
            f"{wanted.downsampling}, as configured, in {name}",
            found=f"{found.latent_channels} latent channels and downsampling {found.downsampling}",
            mend=f"write {written}, or name another {noun}",
        )
    if found.image_channels != promised.image_channels:
        raise StraightflowError(
            expected=f"an autoencoder of images of {promised.image_channels} channels, as the data, in {name}",
            found=str(found.image_channels),
            mend=f"set data.channels: {found.image_channels}, or name another {noun}",
        )


def raw_latents(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What an autoencoder encodes ``images`` to, before shift and scale: the mean of a posterior (VQ: unquantised)."""
    output = network.encode(images)  # type: ignore[operator]
    latents: torch.Tensor = output.latent_dist.mode() if hasattr(output, "latent_dist") else output.latents
    return latents


def images_of_raw(network: torch.nn.Module, latents: torch.Tensor) -> torch.Tensor:
    """What it decodes latents to, before shift and scale; a ``VQModel`` quantises them first."""
    images: torch.Tensor = network.decode(latents).sample  # type: ignore[operator]
    return images


def _require_halves_fit(accepted: AcceptedAutoencoder, config: Mapping[str, Any], origin: str) -> None:
    """Checks that its halves can be built and called, and take images to latents and back."""
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    settings = {name: value for name, value in settings.items() if name in _parameters(accepted.kind)}
    latent_shape = (accepted.latent_channels, 4, 4)
    wanted = (accepted.image_shape(latent_shape), latent_shape)
    with trial(
        f"an autoencoder in {origin} that can be built, and called with images of shape {wanted[0]}",
        "correct its settings (channels, groups, blocks), or name another model",
    ):
        network = autoencoder_class(accepted.kind)(**settings)
        images = images_of_raw(network, torch.empty(1, *latent_shape))
        found = (tuple(images.shape[1:]), tuple(raw_latents(network, torch.empty(1, *wanted[0])).shape[1:]))
    if found != wanted:
        raise StraightflowError(
            expected=f"an autoencoder in {origin} that takes images of {wanted[0]} to latents of {wanted[1]} and back",
            found=f"images of {found[0]}, latents of {found[1]}",
            mend="correct its settings, or name another model",
        )


def _parameters(kind: str) -> frozenset[str]:
    return frozenset(inspect.signature(autoencoder_class(kind).__init__).parameters)
