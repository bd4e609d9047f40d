"""A Stable Diffusion of a few thousand weights, with a tokenizer of letters, saved by its stock pipeline."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

PROMPTS = ("a cat", "two dogs", "red")


def small_condition_unet(**changes: Any) -> UNet2DConditionModel:
    """A fresh one for latents of 4×8×8 and text of width 8, always with the same weights."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": 8,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel(**settings | changes).eval()


def write_tokenizer(folder: Path) -> None:
    """Files of a ``CLIPTokenizer`` whose words are spelled in letters."""
    letters = string.ascii_lowercase
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10}))


def small_text_encoder(width: int = 8) -> Any:
    """A ``CLIPTextModel`` of one layer for that tokenizer."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=54, hidden_size=width, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=10, bos_token_id=52, eos_token_id=53, pad_token_id=53,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CLIPTextModel(config).eval()


def save_stable_diffusion(folder: Path, scheduler: Any, **unet: Any) -> None:
    """The whole, as its stock pipeline saves it."""
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTokenizer

    write_tokenizer(folder.with_name(f"{folder.name}-tokenizer"))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        autoencoder = AutoencoderKL(latent_channels=4, block_out_channels=(4,), norm_num_groups=2, layers_per_block=1)
    StableDiffusionPipeline(
        vae=autoencoder.eval(),
        text_encoder=small_text_encoder(),
        tokenizer=CLIPTokenizer.from_pretrained(folder.with_name(f"{folder.name}-tokenizer")),
        unet=small_condition_unet(**unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
