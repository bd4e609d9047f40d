"""What the settings of a saved network may be: diffusers takes any value, and makes another network of a wrong one.

Text counts as true, a scale of zero or NaN leaves an image of NaN, and a million layers are built one by one. Channels,
sizes, times and classes are judged where they are read, see :mod:`pipeline.models.accepted_teacher`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.network import LayerCount, OctaveCount
from pipeline.config.section import FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt, Probability
from pipeline.system.errors import StraightflowError, validation_problems


class _Settings(BaseModel):
    """Base of both: nothing is converted, so that what is read is what is written; defaults are not used."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class UNetSettings(_Settings):
    """Of a ``diffusers.UNet2DModel``, by the names in its documentation."""

    center_input_sample: bool = False
    # More than 1 is in no published model, and half of the embedding's width divides by zero.
    freq_shift: Annotated[int, Field(ge=0, le=1)] | None = 0
    flip_sin_to_cos: bool = True
    time_embedding_dim: PositiveInt | None = None
    mid_block_type: Literal["UNetMidBlock2D"] | None = "UNetMidBlock2D"
    layers_per_block: LayerCount = 2
    mid_block_scale_factor: PositiveFloat = 1
    downsample_padding: NonNegativeInt = 1
    downsample_type: Literal["conv", "resnet"] = "conv"
    upsample_type: Literal["conv", "resnet"] = "conv"
    dropout: Probability = 0.0
    act_fn: str = "silu"
    attention_head_dim: PositiveInt | None = 8
    norm_num_groups: PositiveInt | None = 32
    attn_norm_num_groups: PositiveInt | None = None
    norm_eps: PositiveFloat = 1e-5
    add_attention: bool = True
    num_train_timesteps: PositiveInt | None = None


class MLPSettings(_Settings):
    """Of a :class:`pipeline.models.velocity_mlp.VelocityMLP`."""

    sample_size: Annotated[list[int], Field(max_length=0)] = []
    width: PositiveInt = 256
    num_layers: LayerCount = 4
    fourier_octaves: OctaveCount = 4
    longest_wavelength: PositiveFloat = 8.0
    time_features: Annotated[PositiveInt, Field(multiple_of=2)] = 64
    noise_mean: list[FiniteFloat] | None = None
    noise_std: PositiveFloat = 1.0


SETTINGS: Mapping[str, type[_Settings]] = {"UNet2DModel": UNetSettings, "VelocityMLP": MLPSettings}


def require_settings_in_range(config: Mapping[str, Any], kind: str, origin: str) -> None:
    """Checks the values of a network's settings.

    Args:
        config: Content of its ``config.json``.
        kind: One of :data:`SETTINGS`.
        origin: Names it in errors.

    Raises:
        StraightflowError: If one is of another type than the setting, or out of its range.
    """
    try:
        SETTINGS[kind].model_validate(dict(config))
    except ValidationError as error:
        raise StraightflowError(
            expected=f"settings of a {kind} that it can be built with, in {origin}",
            found=validation_problems(error)[:500],
            mend="correct config.json to what the model was trained with, or name another one",
        ) from error
    mean = config.get("noise_mean")
    if kind == "VelocityMLP" and mean is not None and len(mean) != config.get("in_channels"):
        raise StraightflowError(
            expected=f"one entry of noise_mean for each of in_channels ({config.get('in_channels')!r}), in {origin}",
            found=str(len(mean)),
            mend="correct config.json to what the model was trained with, or name another one",
        )
