"""LPIPS (Zhang et al. 2018), the distance that is added to a regression loss on request."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch
from torch.nn.functional import interpolate

from pipeline.errors import StraightflowError, one_line

Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Two batches of images in [-1, 1], (batch, channels, height, width) → distances (batch,)."""

SEEN_AT = 224


def load_lpips(device: torch.device) -> Perceptual:
    """LPIPS with a VGG trunk on images enlarged to 224×224, as consistency models are trained (Song et al. 2023).

    Grey images are seen as colour images. The trunk's weights are fetched on first use.

    Raises:
        StraightflowError: If the package is not installed or the weights cannot be had.
    """
    try:
        package = importlib.import_module("lpips")
    except ImportError as error:
        raise StraightflowError(
            expected="the package lpips, for loss lpips_huber",
            found=str(error),
            mend="pip install -e '.[lpips]', or choose loss pseudo_huber",
        ) from error
    try:
        network = package.LPIPS(net="vgg", verbose=False).to(device).requires_grad_(False)
    except OSError as error:
        raise StraightflowError(
            expected="LPIPS' weights, fetched on first use",
            found=one_line(error),
            mend="run once with the network, or choose loss pseudo_huber",
        ) from error

    def seen(images: torch.Tensor) -> torch.Tensor:
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        return interpolate(colour, size=(SEEN_AT, SEEN_AT), mode="bilinear", align_corners=False)

    def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        distances: torch.Tensor = network(seen(images), seen(others))
        return distances.flatten()

    return distance
