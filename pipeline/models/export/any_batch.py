"""Layers of diffusers without their branch on the size of the batch, so that one traced program takes any."""

from __future__ import annotations

import torch
from diffusers.models.upsampling import Upsample2D
from torch.nn import functional


class AnyBatchUpsample(torch.nn.Module):
    """A stock ``Upsample2D`` that doubles both sides by repetition, and convolves where the stock one does.

    The stock layer copies batches of 64 or more to contiguous memory. That changes no value, but a program traced
    through it takes either fewer images or more.
    """

    def __init__(self, stock: Upsample2D) -> None:
        super().__init__()
        self.convolution = getattr(stock, stock.name) if stock.use_conv else None

    def forward(self, hidden_states: torch.Tensor, output_size: tuple[int, int] | None = None) -> torch.Tensor:
        """(batch, channels, height, width) to (batch, out channels, 2 height, 2 width), or to the sides given."""
        scale = 2.0 if output_size is None else None
        larger = functional.interpolate(hidden_states, size=output_size, scale_factor=scale, mode="nearest")
        return larger if self.convolution is None else self.convolution(larger)


def take_any_batch(network: torch.nn.Module) -> None:
    """Puts :class:`AnyBatchUpsample` in place of each layer of a network that it can stand for."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Upsample2D) and _is_plain(layer):
                setattr(parent, name, AnyBatchUpsample(layer))


def _is_plain(layer: Upsample2D) -> bool:
    return layer.interpolate and layer.norm is None and not layer.use_conv_transpose
