"""Our ``VelocityMLP``, for points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from diffusers import ModelMixin
from pydantic import Field

from pipeline.config.network import LayerCount, OctaveCount
from pipeline.config.section import FiniteFloat, PositiveFloat, PositiveInt
from pipeline.models.kinds.kind import NetworkKind, NetworkSettings, is_count
from pipeline.system.errors import StraightflowError


class VelocityMLPSettings(NetworkSettings):
    """By the names of :class:`pipeline.models.velocity_mlp.VelocityMLP`."""

    sample_size: Annotated[list[int], Field(max_length=0, default_factory=list)]
    width: PositiveInt = 256
    num_layers: LayerCount = 4
    fourier_octaves: OctaveCount = 4
    longest_wavelength: PositiveFloat = 8.0
    time_features: Annotated[PositiveInt, Field(multiple_of=2)] = 64
    noise_mean: list[FiniteFloat] | None = None
    noise_std: PositiveFloat = 1.0


class VelocityMLPKind(NetworkKind):
    """Adapter of ``VelocityMLP``, saved as ``DDPMPipeline`` with the network in place of a UNet."""

    class_name = "VelocityMLP"
    settings = VelocityMLPSettings
    of_images = False

    def network_class(self) -> type[ModelMixin]:
        """:class:`pipeline.models.velocity_mlp.VelocityMLP`."""
        from pipeline.models.velocity_mlp import VelocityMLP

        found: type[ModelMixin] = VelocityMLP
        return found

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int]:
        """(dim,)."""
        dim = config.get("in_channels")
        if not is_count(dim):
            raise StraightflowError(
                expected=f"the dimension of points as in_channels in {origin}",
                found=repr(dim),
                mend="correct config.json, or name another model",
            )
        return (dim,)

    def accept_settings(self, config: Mapping[str, Any], origin: str) -> None:
        """Also that the mean of the noise is a point."""
        super().accept_settings(config, origin)
        mean = config.get("noise_mean")
        if mean is not None and len(mean) != config.get("in_channels"):
            raise StraightflowError(
                expected=f"one entry of noise_mean for each of in_channels ({config.get('in_channels')!r}), in "
                f"{origin}",
                found=str(len(mean)),
                mend="correct config.json to what the model was trained with, or name another one",
            )

    def class_count(self, config: Mapping[str, Any]) -> None:
        """None: it is unconditional."""
        del config

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """``DDPMPipeline``, which saves any network."""
        from diffusers import DDPMPipeline

        DDPMPipeline(unet=network, scheduler=scheduler).save_pretrained(folder)
