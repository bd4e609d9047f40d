"""A DiT of one block with an autoencoder of one level, saved by its stock pipeline."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DiTPipeline, DiTTransformer2DModel


def small_dit(**changes: Any) -> DiTTransformer2DModel:
    """A fresh one for latents of 4×4×4, always with the same weights.

    Its 1,000 classes and a learned variance are those of facebook/DiT-XL-2-256; its pipeline takes class 1000 for none.
    """
    settings: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 4,
        "in_channels": 4,
        "out_channels": 8,
        "num_layers": 2,
        "sample_size": 4,
        "patch_size": 2,
        "num_embeds_ada_norm": 1000,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DiTTransformer2DModel(**settings | changes).eval()


def small_dit_pipeline(scheduler: Any, **changes: Any) -> DiTPipeline:
    """With an autoencoder of four latent channels."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        autoencoder = AutoencoderKL(latent_channels=4, block_out_channels=(4,), norm_num_groups=2, layers_per_block=1)
    return DiTPipeline(small_dit(**changes), autoencoder.eval(), scheduler)
