"""DINOv2 ViT-L/14, whose features make FD-DINOv2 (Stein et al. 2023), through transformers.

Images are resized, normalised and measured as by the paper's code (dgm_eval/models/dinov2.py): PIL's bicubic filter to
224×224, ImageNet's mean and standard deviation, the class token after the last layer norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipeline.config.features import NUM_DINOV2_FEATURES, Dinov2Config
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.hub import download_file
from pipeline.system.packages import require_package
from pipeline.system.whole_files import require_file

WEIGHTS = "model.safetensors"
POSITIONS = "embeddings.position_embeddings"
SIDE = 224
PATCH = 14
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """Size of a vision transformer: length of a token, layers, attention heads."""

    hidden_size: int
    num_layers: int
    num_heads: int


VIT_L14 = Architecture(NUM_DINOV2_FEATURES, 24, 16)


def find_weights(config: Dinov2Config) -> Path:
    """Path of the weights: in the configured folder, or of the hub's pinned revision, downloaded once.

    Raises:
        StraightflowError: If transformers is not installed, the file is missing and out of reach, or its SHA-256 is not
            the configured one.
    """
    mend = "pip install -e '.[dinov2]', or choose other features"
    require_package("transformers", wanted_by="dinov2 features", mend=mend)
    path = _locate(config)
    if config.sha256 is not None and (found := fingerprint_file(path)) != config.sha256:
        raise StraightflowError(
            expected=f"DINOv2 weights with SHA-256 {config.sha256} in {path}",
            found=found,
            mend="name the file with this hash, or correct features.dinov2.sha256",
        )
    return path


def _locate(config: Dinov2Config) -> Path:
    folder = Path(config.weights)
    if folder.exists():
        if not (folder / WEIGHTS).is_file():
            raise StraightflowError(
                expected=f"a folder with {WEIGHTS} as features.dinov2.weights",
                found=f"{folder}, which has none",
                mend="name the folder of a downloaded copy, or the id on the hub",
            )
        return folder / WEIGHTS
    if config.revision is None:
        raise StraightflowError(
            expected="a folder as features.dinov2.weights, or an id on the hub with its features.dinov2.revision",
            found=f"no folder {config.weights}, and no revision",
            mend="correct the path, or give the whole commit on the hub",
        )
    return download_file(config.weights, WEIGHTS, config.revision)


def load_dinov2(
    weights: Path, device: torch.device, architecture: Architecture = VIT_L14
) -> Callable[[torch.Tensor], np.ndarray]:
    """Function from uint8 images (batch, 1 or 3, H, W) to features (batch, hidden_size); grey is repeated to RGB.

    Raises:
        StraightflowError: If the file does not hold the network.
    """
    try:
        require_file(weights)
        state = load_file(weights)
        state[POSITIONS] = resample_positions(state[POSITIONS], SIDE // PATCH)
        network = build_network(architecture)
        network.load_state_dict(state)
    except (OSError, RuntimeError, KeyError, ValueError, SafetensorError) as error:
        raise StraightflowError(
            expected=f"DINOv2 ViT-L/14 in {weights}, as transformers saves it",
            found=one_line(error),
            mend="name a copy of facebook/dinov2-large in features.dinov2.weights",
        ) from error
    network.to(device).eval()

    @torch.inference_mode()
    def extract(images: torch.Tensor) -> np.ndarray:
        tokens = network(pixel_values=preprocess(images).to(device)).last_hidden_state
        features: np.ndarray = tokens[:, 0].float().cpu().numpy()
        return features

    return extract


def preprocess(images: torch.Tensor) -> torch.Tensor:
    """uint8 images (batch, 1 or 3, H, W) as the network takes them: float32, (batch, 3, 224, 224), normalised."""
    rgb = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
    resized = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in rgb]
    scaled = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (scaled - mean) / std


def resample_positions(positions: torch.Tensor, side: int) -> torch.Tensor:
    """Position embeddings (1, 1 + n², hidden_size) of the class token and n×n patches for side × side patches.

    As the published code does it (dinov2/models/vision_transformer.py), whose scale is that of ``side + 0.1`` patches;
    transformers takes another.

    Raises:
        ValueError: If the patches' embeddings are no square.
    """
    patches = positions[:, 1:]
    count = round(patches.shape[1] ** 0.5)
    if count * count != patches.shape[1]:
        raise ValueError(f"position embeddings of {patches.shape[1]} patches, which are no square")
    if count == side:
        return positions
    grid = patches.float().reshape(1, count, count, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / count
    grid = nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1].float(), grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def build_network(architecture: Architecture) -> Any:
    """The network for 224×224 images with random weights; settings are those that the published one was saved with."""
    import transformers

    config = transformers.Dinov2Config(
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        mlp_ratio=4,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        qkv_bias=True,
        image_size=SIDE,
        patch_size=PATCH,
    )
    return transformers.Dinov2Model(config)
