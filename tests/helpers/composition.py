"""The configuration composed from overrides, as plain mappings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from helpers.project_folders import ROOT
from stages.composition import compose


def composed(*overrides: str) -> dict[str, Any]:
    """Fresh mappings, which a test may change."""
    return copy.deepcopy(composed_once(overrides))


@cache
def composed_once(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Composing costs 0.1 s, and many tests start from the same configuration."""
    content = yaml.safe_load(compose(overrides, ROOT / "configs"))
    assert isinstance(content, dict)
    return content


def changed(preset: str, changes: Mapping[str, object]) -> dict[str, Any]:
    """A preset's settings with some of them, by dotted key, set to others."""
    content = composed(f"preset={preset}")
    for key, value in changes.items():
        *path, last = key.split(".")
        section = content
        for part in path:
            section = section[part]
        section[last] = value
    return content


def of_latents(content: dict[str, Any], **autoencoder: object) -> dict[str, Any]:
    """The settings of a run on 8×8 images, on 2×4×4 latents: of an autoencoder that is trained here, or as it says."""
    content = copy.deepcopy(content)
    network = {"block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4}
    train = content["teacher"]["train"] | {"num_steps": 6, "batch_size": 16, "warmup_steps": 0}
    trained = {"source": "train", "latent_channels": 2, "downsampling": 2, "network": network, "train": train}
    for couplings in content["couplings"].values():
        couplings["dtype"] = "float16"
    return content | {"autoencoder": trained | autoencoder, "latents": {"data": {}}, "trained_on": "latents"}
