"""Resizes images for Inception as clean-fid does in each of its modes (Parmar et al. 2022), on the images' device."""

from __future__ import annotations

import numpy as np
import torch
from cleanfid.resize import build_resizer
from torch.nn.functional import interpolate

SIDE = 299


def bicubic(images: torch.Tensor) -> torch.Tensor:
    """Antialiased bicubic filter of uint8 images (batch, channels, H, W) to float32 (batch, channels, 299, 299).

    Computed in float64, it is within 1e-4 of what :func:`bicubic_by_pillow` makes; in float32 it would be within 1e-2.
    Overshoots are clipped to [0, 255].
    """
    resized = interpolate(images.double(), size=(SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255).float()


def bicubic_by_pillow(images: torch.Tensor) -> torch.Tensor:
    """The same filter by Pillow, which only a CPU runs, and runs faster; ``images`` have three channels."""
    resize = build_resizer("clean")
    resized = [resize(image) for image in images.permute(0, 2, 3, 1).cpu().numpy()]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)


def bilinear(images: torch.Tensor) -> torch.Tensor:
    """Bilinear interpolation without a filter, as in pytorch-fid; types and shapes as in :func:`bicubic`."""
    return interpolate(images.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False).clamp(0, 255)
