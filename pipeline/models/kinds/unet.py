"""diffusers' ``UNet2DModel``: images or latents, without conditions or with classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from diffusers import ModelMixin
from pydantic import Field
from torch import nn

from pipeline.config.network import LayerCount
from pipeline.config.section import NonNegativeInt, PositiveFloat, PositiveInt, Probability
from pipeline.models.kinds.kind import NetworkKind, NetworkSettings, accept_channels, is_count
from pipeline.system.errors import StraightflowError

# By name, since importing diffusers' networks takes a second, which points do without.
_RESIDUAL_BLOCKS = ("ResnetBlock2D", "ResnetBlockCondNorm2D")


class UNetBlockSettings(NetworkSettings):
    """What both UNets of diffusers hand on to the same blocks, by the names in its documentation."""

    center_input_sample: bool = False
    flip_sin_to_cos: bool = True
    mid_block_scale_factor: PositiveFloat = 1
    dropout: Probability = 0.0
    act_fn: str = "silu"
    norm_num_groups: PositiveInt | None = 32
    norm_eps: PositiveFloat = 1e-5


class UNetSettings(UNetBlockSettings):
    """What ``UNet2DModel`` has besides."""

    # More than 1 is in no published model, and half of the embedding's width divides by zero.
    freq_shift: Annotated[int, Field(ge=0, le=1)] | None = 0
    time_embedding_dim: PositiveInt | None = None
    mid_block_type: Literal["UNetMidBlock2D"] | None = "UNetMidBlock2D"
    layers_per_block: LayerCount = 2
    downsample_padding: NonNegativeInt = 1
    downsample_type: Literal["conv", "resnet"] = "conv"
    upsample_type: Literal["conv", "resnet"] = "conv"
    attention_head_dim: PositiveInt | None = 8
    attn_norm_num_groups: PositiveInt | None = None
    add_attention: bool = True
    num_train_timesteps: PositiveInt | None = None


class UNetKind(NetworkKind):
    """Adapter of ``UNet2DModel``, saved as ``DDPMPipeline``, ``ScoreSdeVePipeline`` or, of latents, ``LDMPipeline``."""

    class_name = "UNet2DModel"
    settings = UNetSettings
    latent_pipeline = "LDMPipeline"

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
        """(channels, height, width), which its levels can halve."""
        channels = accept_channels(config.get("in_channels", 3), config.get("out_channels", 3), origin)
        levels = config.get("block_out_channels", (224, 448, 672, 896))  # the default of diffusers
        return channels, *accept_halved_sides(config.get("sample_size"), levels, origin)

    def time_embedding(self, config: Mapping[str, Any]) -> object:
        """``time_embedding_type``."""
        return config.get("time_embedding_type", "positional")

    def class_count(self, config: Mapping[str, Any]) -> int | None:
        """``num_class_embeds``; the embedding that takes a second time is none of classes."""
        kind, count = config.get("class_embed_type"), config.get("num_class_embeds")
        if kind is not None and (kind != "timestep" or count is not None):
            raise StraightflowError(
                expected="an unconditional UNet2DModel, or one with num_class_embeds",
                found=f"class_embed_type {kind!r}" + ("" if count is None else " and num_class_embeds"),
                mend="name another teacher",
            )
        if count is not None and not is_count(count):
            raise StraightflowError(
                expected="a number of classes in num_class_embeds", found=repr(count), mend="correct config.json"
            )
        return count

    def dropout_layers(self, network: ModelMixin) -> Iterable[nn.Dropout]:
        """:func:`residual_dropout`."""
        return residual_dropout(network)

    def velocity_field(self, network: ModelMixin) -> ModelMixin:
        """As :func:`pipeline.models.unet.velocity_unet` makes it."""
        from pipeline.models.unet import velocity_unet

        return velocity_unet(network)

    def flow_map(self, network: ModelMixin) -> ModelMixin:
        """As :func:`pipeline.models.unet.flow_map_unet` makes it."""
        from pipeline.models.unet import flow_map_unet

        return flow_map_unet(network)

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """``ScoreSdeVePipeline`` with the scheduler of its name, otherwise ``DDPMPipeline``."""
        from diffusers import DDPMPipeline, ScoreSdeVePipeline, ScoreSdeVeScheduler

        of_scales = isinstance(scheduler, ScoreSdeVeScheduler)
        pipeline = (ScoreSdeVePipeline if of_scales else DDPMPipeline)(unet=network, scheduler=scheduler)
        pipeline.save_pretrained(folder)


def accept_halved_sides(size: object, levels: object, origin: str) -> tuple[int, int]:
    """Height and width of samples that a UNet halves between its levels.

    Args:
        size: Its ``sample_size``: the side of square samples, or height and width.
        levels: Its ``block_out_channels``.
        origin: Names it in errors.

    Raises:
        StraightflowError: If they are none, or it cannot halve the sides that often.
    """
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    if not is_count(height) or not is_count(width):
        raise StraightflowError(
            expected=f"the side of square samples, or height and width, as sample_size in {origin}",
            found=str(size)[:80],
            mend="write the size that the model was trained on into config.json, or name another model",
        )
    if not isinstance(levels, list | tuple) or not levels or not all(is_count(level) for level in levels):
        raise StraightflowError(
            expected=f"numbers of channels, one per level, as block_out_channels in {origin}",
            found=str(levels)[:80],
            mend="correct config.json, or name another model",
        )
    require_halvings((height, width), len(levels), origin)
    return height, width


def residual_dropout(network: ModelMixin) -> list[nn.Dropout]:
    """The layers that ``dropout`` of a UNet of diffusers sets: those of residual blocks; attention drops nothing."""
    return [module.dropout for module in network.modules() if type(module).__name__ in _RESIDUAL_BLOCKS]


def require_halvings(sides: tuple[int, int], num_levels: int, origin: str) -> None:
    """Checks that a UNet of ``num_levels`` resolutions can halve images of these sides as often as it must.

    Raises:
        StraightflowError: If it cannot.
    """
    halvings = num_levels - 1
    if any(side % 2**halvings for side in sides):
        height, width = (side + -side % 2**halvings for side in sides)
        raise StraightflowError(
            expected=f"images whose sides are divisible by {2**halvings}, as the network of {origin} has {num_levels} "
            f"levels and halves them {halvings} times",
            found=f"images of {sides[0]}×{sides[1]} pixels",
            mend=f"use fewer levels, or images of {height}×{width} pixels "
            f"(data.resolution: {height if height == width else [height, width]})",
        )
