"""diffusers' ``UNet2DConditionModel`` as in Stable Diffusion 1 and 2 (Rombach et al. 2022): latents by prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from pipeline.config.section import PositiveInt
from pipeline.models.kinds.kind import accept_channels
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.kinds.unet import UNetBlockSettings, accept_halved_sides, residual_dropout


class UNetConditionSettings(UNetBlockSettings):
    """What ``UNet2DConditionModel`` has besides; what is None alone is of further conditions, not given here."""

    cross_attention_dim: PositiveInt = 1280
    dual_cross_attention: bool = False
    use_linear_projection: bool = False
    upcast_attention: bool = False
    encoder_hid_dim: None = None
    encoder_hid_dim_type: None = None
    class_embed_type: None = None
    num_class_embeds: None = None
    addition_embed_type: None = None
    time_cond_proj_dim: None = None


class UNetConditionKind(PromptedKind):
    """Adapter of ``UNet2DConditionModel``, saved as ``StableDiffusionPipeline``."""

    class_name = "UNet2DConditionModel"
    settings = UNetConditionSettings
    steps_exactly = True
    pipeline = "StableDiffusionPipeline"
    encoders = ("text_encoder", "tokenizer")
    options = MappingProxyType({"requires_safety_checker": False})
    companions = ("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor", "image_encoder")

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
        """(channels, height, width), which its levels can halve."""
        channels = accept_channels(config.get("in_channels", 4), config.get("out_channels", 4), origin)
        levels = config.get("block_out_channels", (320, 640, 1280, 1280))  # the default of diffusers
        return channels, *accept_halved_sides(config.get("sample_size"), levels, origin)

    def time_embedding(self, config: Mapping[str, Any]) -> object:
        """``time_embedding_type``."""
        return config.get("time_embedding_type", "positional")

    def widths(self, config: Mapping[str, Any]) -> Mapping[str, int]:
        """Of the words of a prompt."""
        return {"encoder_hidden_states": config.get("cross_attention_dim", 1280)}

    def encode_batch(self, pipeline: Any, prompts: list[str], device: torch.device) -> dict[str, torch.Tensor]:
        """The encoder's last hidden states, padded to its longest text."""
        return {"encoder_hidden_states": pipeline.encode_prompt(prompts, device, 1, False)[0]}

    def dropout_layers(self, network: ModelMixin) -> Iterable[nn.Dropout]:
        """:func:`pipeline.models.kinds.unet.residual_dropout`."""
        return residual_dropout(network)

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """As the others; with what its pipeline asks of a scheduler and that of flow maps does not say.

        A setting that a scheduler has no argument for is kept in its configuration, and found there as an attribute.
        """
        if not hasattr(scheduler, "init_noise_sigma"):
            scheduler.register_to_config(init_noise_sigma=1.0)
        super().save(network, scheduler, folder)
