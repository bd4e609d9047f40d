"""A run of one round on latents of an autoencoder trained in it, made so small that it takes seconds."""

from __future__ import annotations

from typing import Any

from helpers.small_run import small_run

TRAINED: dict[str, Any] = {
    "source": "train",
    "latent_channels": 2,
    "downsampling": 2,
    "network": {"block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4},
}


def latent_run(**changes: object) -> dict[str, Any]:
    """params.yaml of a small run of digits, on 2×4×4 latents."""
    content = small_run(
        "couplings.round1.dtype=float16",
        "trained_on=latents",
        "features.name=classifier",
        "features.judge.name=classifier",
        *(f"features.{key}.min_accuracy=0.2" for key in ("classifier", "judge.classifier")),
        "evaluate.models=[few_step]",
    )
    content["latents"] = {"data": {"batch_size": 300}}
    content["autoencoder"] = TRAINED | {"train": content["teacher"]["train"] | {"num_steps": 6}} | changes
    return content
