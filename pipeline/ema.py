"""Exponential moving average of weights, its memory given in images."""

from __future__ import annotations

from collections.abc import Iterable

import torch


def ema_decay(*, batch_size: int, cur_nimg: int, halflife_images: int, rampup_ratio: float) -> float:
    """Decay of one step: 0.5^(batch / halflife), the half-life at most a share of the images so far.

    Args:
        batch_size: Images in this step.
        cur_nimg: Images seen including this step.
        halflife_images: Half-life at full length.
        rampup_ratio: Share of ``cur_nimg`` that bounds the half-life (Karras et al. 2022, reference code).
    """
    return float(0.5 ** (batch_size / min(halflife_images, cur_nimg * rampup_ratio)))


class Ema:
    """Averages of parameters, in float32, on their device. Saved and restored by Accelerate."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self.averages = [parameter.detach().float().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """averages ← decay · averages + (1 - decay) · parameters."""
        torch._foreach_lerp_(self.averages, [parameter.detach() for parameter in self._parameters], 1 - decay)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Overwrites the parameters with their averages."""
        for parameter, average in zip(self._parameters, self.averages, strict=True):
            parameter.copy_(average)

    def state_dict(self) -> dict[str, list[torch.Tensor]]:
        """The averages, for a checkpoint."""
        return {"averages": self.averages}

    def load_state_dict(self, state: dict[str, list[torch.Tensor]]) -> None:
        """Restores averages in place."""
        for average, saved in zip(self.averages, state["averages"], strict=True):
            average.copy_(saved)
