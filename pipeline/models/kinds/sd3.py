"""diffusers' ``SD3Transformer2DModel`` (Esser et al. 2024): a flow of latents by prompt, as in Stable Diffusion 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pipeline.config.network import LayerCount
from pipeline.config.section import PositiveInt
from pipeline.models.kinds.kind import NetworkSettings, accept_channels, accept_patches
from pipeline.models.kinds.prompted_kind import PromptedKind


class SD3Settings(NetworkSettings):
    """By the names in diffusers' documentation."""

    num_layers: LayerCount = 18
    attention_head_dim: PositiveInt = 64
    num_attention_heads: PositiveInt = 18
    joint_attention_dim: PositiveInt = 4096
    caption_projection_dim: PositiveInt = 1152
    pooled_projection_dim: PositiveInt = 2048
    qk_norm: str | None = None


class SD3Kind(PromptedKind):
    """Adapter of ``SD3Transformer2DModel``, saved as ``StableDiffusion3Pipeline``; its third encoder may be absent."""

    class_name = "SD3Transformer2DModel"
    part = "transformer"
    settings = SD3Settings
    steps_exactly = True
    pipeline = "StableDiffusion3Pipeline"
    encoders = ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
    companions = ("vae", *encoders, "image_encoder", "feature_extractor")

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
        """(channels, side, side), cut from the middle of its table of positions."""
        channels = accept_channels(config.get("in_channels", 16), config.get("out_channels", 16), origin)
        side = accept_patches(config.get("sample_size", 128), config.get("patch_size", 2), origin)
        return channels, side, side

    def widths(self, config: Mapping[str, Any]) -> Mapping[str, int]:
        """Of the words of a prompt, and of the whole prompt."""
        return {
            "encoder_hidden_states": config.get("joint_attention_dim", 4096),
            "pooled_projections": config.get("pooled_projection_dim", 2048),
        }

    def encode_batch(self, pipeline: Any, prompts: list[str], device: torch.device) -> dict[str, torch.Tensor]:
        """The words by all encoders in a row, and the whole by the first two side by side."""
        words, _, whole, _ = pipeline.encode_prompt(prompts, None, None, device, 1, False)
        return {"encoder_hidden_states": words, "pooled_projections": whole}
