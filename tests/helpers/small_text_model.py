"""Models of text of a few thousand weights, with a tokenizer of letters, saved by their stock pipelines."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel

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


def small_sd3() -> SD3Transformer2DModel:
    """A fresh one of two blocks for latents of 4×8×8 and text of width 24, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SD3Transformer2DModel(
            sample_size=8, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=4, num_attention_heads=2,
            joint_attention_dim=24, caption_projection_dim=8, pooled_projection_dim=16, pos_embed_max_size=8,
        ).eval()  # fmt: skip


def write_tokenizer(folder: Path) -> None:
    """Files of a ``CLIPTokenizer`` whose words are spelled in letters."""
    letters = string.ascii_lowercase
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10}))


def small_text_encoder(width: int = 8, *, projected: bool = False, seed: int = 3) -> Any:
    """A ``CLIPTextModel`` of two layers for that tokenizer; or one with a projection of the whole text."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=54, hidden_size=width, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=10, bos_token_id=52, eos_token_id=53, pad_token_id=53, projection_dim=width,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def small_tokenizer(beside: Path) -> Any:
    """That tokenizer, whose files are kept beside a folder."""
    from transformers import CLIPTokenizer

    files = beside.with_name(f"{beside.name}-tokenizer")
    write_tokenizer(files)
    return CLIPTokenizer.from_pretrained(files)


def small_autoencoder() -> AutoencoderKL:
    """Of four latent channels."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = {"latent_channels": 4, "block_out_channels": (4,), "norm_num_groups": 2, "layers_per_block": 1}
        return AutoencoderKL(**settings).eval()


def save_stable_diffusion(folder: Path, scheduler: Any, **unet: Any) -> None:
    """The whole, as its stock pipeline saves it."""
    from diffusers import StableDiffusionPipeline

    StableDiffusionPipeline(
        vae=small_autoencoder(),
        text_encoder=small_text_encoder(),
        tokenizer=small_tokenizer(folder),
        unet=small_condition_unet(**unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def save_stable_diffusion_3(folder: Path, scheduler: Any) -> None:
    """A flow transformer of two blocks, without the third encoder, as its stock pipeline saves it."""
    from diffusers import StableDiffusion3Pipeline

    tokenizer = small_tokenizer(folder)
    StableDiffusion3Pipeline(
        transformer=small_sd3(),
        scheduler=scheduler,
        vae=small_autoencoder(),
        text_encoder=small_text_encoder(projected=True),
        tokenizer=tokenizer,
        text_encoder_2=small_text_encoder(projected=True, seed=4),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    ).save_pretrained(folder)
