"""diffusers' ``UNet2DConditionModel`` as in Stable Diffusion 1 and 2 (Rombach et al. 2022): latents by prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from pipeline.config.section import PositiveFloat, PositiveInt, Probability
from pipeline.models.kinds.kind import NetworkSettings, accept_channels, is_count
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.kinds.unet import RESIDUAL_BLOCKS, require_halvings
from pipeline.system.errors import StraightflowError


class UNetConditionSettings(NetworkSettings):
    """By the names in diffusers' documentation. Those that are None alone are of further conditions, not given here."""

    center_input_sample: bool = False
    flip_sin_to_cos: bool = True
    mid_block_scale_factor: PositiveFloat = 1
    dropout: Probability = 0.0
    act_fn: str = "silu"
    norm_num_groups: PositiveInt | None = 32
    norm_eps: PositiveFloat = 1e-5
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

    def network_class(self) -> type[ModelMixin]:
        """``diffusers.UNet2DConditionModel``."""
        from diffusers import UNet2DConditionModel

        found: type[ModelMixin] = UNet2DConditionModel
        return found

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
        """(channels, height, width), which its levels can halve."""
        channels = accept_channels(config.get("in_channels", 4), config.get("out_channels", 4), origin)
        size = config.get("sample_size")
        height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
        levels = config.get("block_out_channels", (320, 640, 1280, 1280))
        if not is_count(height) or not is_count(width) or not isinstance(levels, list | tuple):
            raise StraightflowError(
                expected=f"the side of square samples, or height and width, as sample_size in {origin}",
                found=str(size)[:80],
                mend="write the size that the model was trained on into config.json, or name another model",
            )
        require_halvings((height, width), len(levels), origin)
        return channels, height, width

    def time_embedding(self, config: Mapping[str, Any]) -> object:
        """``time_embedding_type``."""
        return config.get("time_embedding_type", "positional")

    def widths(self, config: Mapping[str, Any]) -> Mapping[str, int]:
        """Of the words of a prompt."""
        return {"encoder_hidden_states": config.get("cross_attention_dim", 1280)}

    def encode_batch(self, pipeline: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
        """The encoder's last hidden states, padded to its longest text."""
        return {"encoder_hidden_states": pipeline.encode_prompt(prompts, "cpu", 1, False)[0]}

    def dropout_layers(self, network: ModelMixin) -> Iterable[nn.Dropout]:
        """Those of its residual blocks, which its setting is for; attention drops nothing."""
        blocks = [module for module in network.modules() if type(module).__name__ in RESIDUAL_BLOCKS]
        return [block.dropout for block in blocks]

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """As the others; with what its pipeline asks of a scheduler and that of flow maps does not say.

        A setting that a scheduler has no argument for is kept in its configuration, and found there as an attribute.
        """
        if not hasattr(scheduler, "init_noise_sigma"):
            scheduler.register_to_config(init_noise_sigma=1.0)
        super().save(network, scheduler, folder)
