"""Losses of velocities with one value per sample, their weights as functions of t, and optional LPIPS."""

from __future__ import annotations

import importlib
import math
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from pipeline.config.flow import LossConfig, require_lpips
from pipeline.flow.paths import per_sample
from pipeline.system.errors import StraightflowError, one_line

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def l2(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over a sample's d entries.

    Args:
        prediction: (batch, …).
        target: Same shape.

    Returns:
        (batch,).
    """
    return (prediction - target).square().flatten(1).mean(dim=1)


def pseudo_huber(prediction: torch.Tensor, target: torch.Tensor, *, c: float) -> torch.Tensor:
    """sqrt(‖p - y‖² + c'²) - c' with c' = c sqrt(d) (Song & Dhariwal 2023, eq. 7), divided by sqrt(d).

    Quadratic for errors well below c per entry, linear above. Dividing by sqrt(d) makes the value
    independent of image size. Their c' = 0.00054 sqrt(d) is c = 0.00054 here; the c' = 0.00054 d of
    Lee et al. 2024 (sec. 4.2) is c = 0.00054 sqrt(d).

    Args:
        prediction: (batch, …), d entries a sample.
        target: Same shape.
        c: Scale per square root of dimension, > 0.

    Returns:
        (batch,).
    """
    error = (prediction - target).flatten(1)
    dimensions = error.shape[1]
    scale = c * math.sqrt(dimensions)
    return ((error.square().sum(dim=1) + scale**2).sqrt() - scale) / math.sqrt(dimensions)


def lpips_huber(prediction: torch.Tensor, target: torch.Tensor, *, c: float) -> torch.Tensor:
    """(sqrt(‖p - y‖² + c'²) - c') / d with c' = c sqrt(d): the part of LPIPS-Huber-1/t that compares velocities.

    The published code of Lee et al. 2024 divides pseudo-Huber by d, not by sqrt(d); its weight and the part that
    compares images are added by :class:`VelocityLoss`, which knows the images. Arguments and result as for
    :func:`pseudo_huber`.
    """
    return pseudo_huber(prediction, target, c=c) / math.sqrt(prediction[0].numel())


LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "l2": l2,
    "pseudo_huber": pseudo_huber,
    "lpips_huber": lpips_huber,
}


def build_loss(config: LossConfig) -> Loss:
    """The configured loss as a function of prediction and target."""
    return partial(LOSSES[config.name], **config.parameters())


Weighting = Callable[[torch.Tensor], torch.Tensor]
"""The weight of the loss as a function of t, (batch,) → (batch,)."""


def uniform_weight(t: torch.Tensor) -> torch.Tensor:
    """w(t) = 1 (Liu et al. 2022, eq. 1)."""
    return torch.ones_like(t)


def cosmap(t: torch.Tensor) -> torch.Tensor:
    """w(t) = 2 / (π (1 - 2t + 2t²)), the density of the cosine schedule (Esser et al. 2024, eq. 21)."""
    return 2 / (math.pi * (1 - 2 * t + 2 * t.square()))


def image_error(t: torch.Tensor) -> torch.Tensor:
    """w(t) = (1 - t)²: the weighted L2 loss of v is then the L2 loss of the predicted image x_t + (1 - t) v."""
    return (1 - t).square()


WEIGHTINGS: dict[str, Weighting] = {"uniform": uniform_weight, "cosmap": cosmap, "image_error": image_error}


Perceptual = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Two batches of images in [-1, 1], (batch, channels, height, width) → distances (batch,)."""

SEEN_AT = 224


VGG_WEIGHTS = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""What torchvision fetches for the trunk of LPIPS."""
TIMEOUT_SECONDS = 5.0


def require_lpips_weights() -> None:
    """Checks that the weights of LPIPS' trunk are in torch.hub's folder, or can be fetched.

    Raises:
        StraightflowError: If they are neither.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG_WEIGHTS.rsplit("/", 1)[1]
    if path.is_file():
        return
    try:
        urllib.request.urlopen(urllib.request.Request(VGG_WEIGHTS, method="HEAD"), timeout=TIMEOUT_SECONDS).close()
    except (OSError, HTTPException) as error:
        raise StraightflowError(
            expected=f"the weights of LPIPS at {path}, or over the network from {VGG_WEIGHTS}",
            found=one_line(error),
            mend="connect once, copy the file there, or choose loss pseudo_huber",
        ) from error


def load_lpips(device: torch.device) -> Perceptual:
    """LPIPS with a VGG trunk on images enlarged to 224×224, as in consistency training (Song et al. 2023).

    Greyscale images are repeated to three channels. The VGG weights are downloaded on first use.

    Raises:
        StraightflowError: If the package lpips is not installed or the weights cannot be downloaded.
    """
    require_lpips()
    try:
        package = importlib.import_module("lpips")
    except ImportError as error:
        raise StraightflowError(
            expected="a package lpips that can be imported",
            found=one_line(error),
            mend="install it again, pip install -e '.[lpips]', or choose loss pseudo_huber",
        ) from error
    try:
        network = package.LPIPS(net="vgg", verbose=False).to(device).requires_grad_(False)
    except OSError as error:
        raise StraightflowError(
            expected="the weights of LPIPS, downloaded on first use",
            found=one_line(error),
            mend="run once with network access, or choose loss pseudo_huber",
        ) from error

    def seen(images: torch.Tensor) -> torch.Tensor:
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        return interpolate(colour, size=(SEEN_AT, SEEN_AT), mode="bilinear", align_corners=False)

    def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        distances: torch.Tensor = network(seen(images), seen(others))
        return distances.flatten()

    return distance


SMALLEST_TIME_LEFT = 1e-3
"""Least 1 - t that a perceptual distance is divided by; at t = 1 it compares an image with itself."""


@dataclass(frozen=True)
class VelocityLoss:
    """Loss between a predicted and a true velocity at x_t.

    Attributes:
        regression: Loss between the velocities.
        perceptual: Distance between the images that they lead to. The loss then is t · regression +
            distance / (1 - t), LPIPS-Huber-1/t as the published code of Lee et al. 2024 has it (``lpips-huber`` with
            ``--lpips_divt``; its t is 1 - t here). None leaves the regression alone.
    """

    regression: Loss
    perceptual: Perceptual | None = None

    def __call__(
        self, velocity: torch.Tensor, target: torch.Tensor, x_t: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """Loss of each sample.

        Args:
            velocity: Predicted, (batch, …).
            target: True, same shape.
            x_t: Where, same shape.
            t: When, (batch,) in [0, 1].

        Returns:
            (batch,).
        """
        loss = self.regression(velocity, target)
        if self.perceptual is None:
            return loss
        left = per_sample(1 - t, x_t)
        distance = self.perceptual(x_t + left * velocity, x_t + left * target)
        return t * loss + distance / (1 - t).clamp(min=SMALLEST_TIME_LEFT)


def build_velocity_loss(config: LossConfig, device: torch.device) -> VelocityLoss:
    """The configured loss of velocities; its network, if it has one, goes on ``device``."""
    return VelocityLoss(build_loss(config), load_lpips(device) if config.name == "lpips_huber" else None)
