"""Small networks whose features measure images that published networks do not suit, or that no network reaches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

Task = Literal["classifier", "rotation"]
Architecture = Literal["flat", "pooled", "residual"]

SMALLEST_SIDE = 4
"""Pixels of a side at which the last convolutions work, before they are pooled."""


class FeatureNetwork(nn.Module):
    """A body that computes features and a linear head that predicts from them; input (batch, C, H, W) in [-1, 1]."""

    def __init__(self, body: nn.Module, num_features: int, num_outputs: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(num_features, num_outputs)

    def features(self, x_1: torch.Tensor) -> torch.Tensor:
        """Feature layer, (batch, num_features)."""
        features: torch.Tensor = self.body(x_1)
        return features

    def forward(self, x_1: torch.Tensor) -> torch.Tensor:
        """Logits, (batch, num_outputs)."""
        logits: torch.Tensor = self.head(torch.relu(self.features(x_1)))
        return logits


@dataclass(frozen=True)
class NetworkDescription:
    """What a network is, apart from its weights.

    Attributes:
        task: What it predicts: classes, or by which of four angles an image was turned.
        architecture: ``flat``: three convolutions, and a linear layer of all positions as features. ``pooled``:
            convolutions down to 4 pixels on the shorter side, their mean over positions as features. ``residual``: the
            same with residual blocks (He et al. 2016).
        shape: (channels, height, width) of the images.
        num_features: Length of the vectors of features.
        num_outputs: Number of logits.
    """

    task: Task
    architecture: Architecture
    shape: tuple[int, int, int]
    num_features: int
    num_outputs: int

    @property
    def name(self) -> str:
        """Name of its features in tables: the task, and the architecture where it is a judge's."""
        return f"{self.task}-residual" if self.architecture == "residual" else self.task

    def build(self) -> FeatureNetwork:
        """A network of this kind with random weights."""
        bodies = {"flat": _flat, "pooled": _pooled, "residual": _residual}
        body = bodies[self.architecture](self.shape, self.num_features)
        return FeatureNetwork(body, self.num_features, self.num_outputs)


def _flat(shape: tuple[int, int, int], num_features: int) -> nn.Module:
    height, width = (-(-side // 2) for side in shape[1:])
    return nn.Sequential(
        nn.Conv2d(shape[0], 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * height * width, num_features),
    )


def _pooled(shape: tuple[int, int, int], num_features: int) -> nn.Module:
    widths = _widths(32, min(shape[1:]), num_features)
    layers = [_convolution(shape[0], widths[0], 1)]
    for before, after in pairwise(widths):
        layers.append(_convolution(before, after, 2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _residual(shape: tuple[int, int, int], num_features: int) -> nn.Module:
    widths = _widths(16, min(shape[1:]), num_features)
    layers: list[nn.Module] = [_convolution(shape[0], widths[0], 1), _ResidualBlock(widths[0], widths[0], 1)]
    for before, after in pairwise(widths):
        layers.append(_ResidualBlock(before, after, 2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _widths(first: int, side: int, last: int) -> list[int]:
    """Channels at full size and after each halving of ``side``: they double up to 64, and the last are given."""
    halvings = max(1, (-(-side // SMALLEST_SIDE) - 1).bit_length())
    return [min(first << number, 64) for number in range(halvings)] + [last]


def _convolution(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


class _ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution of one pixel where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            _convolution(channels_in, channels_out, stride),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            one_pixel = nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(one_pixel, nn.BatchNorm2d(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))
