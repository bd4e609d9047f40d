"""Exponential moving averages of weights, with half-lives in images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from pipeline.training.sharding import local_values, to_full, to_local


def ema_decay(*, batch_size: int, cur_nimg: int, halflife_images: int, rampup_ratio: float) -> float:
    """Decay of one step: 0.5^(batch / halflife), the half-life at most a share of the images so far.

    Args:
        batch_size: Images in this step, over all processes and micro-batches.
        cur_nimg: Images seen including this step.
        halflife_images: Half-life after ramp-up.
        rampup_ratio: Share of ``cur_nimg`` that bounds the half-life (Karras et al. 2022, reference code).
    """
    return float(0.5 ** (batch_size / min(halflife_images, cur_nimg * rampup_ratio)))


class Ema:
    """Averages of parameters, in float32, on their device; each process holds its part of sharded ones.

    Args:
        parameters: What is averaged; the averages start as their values.
        halflife_images: Half-life of the average, in training images.
        rampup_ratio: Share of the images seen that bounds the half-life.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], *, halflife_images: int, rampup_ratio: float) -> None:
        self._parameters = list(parameters)
        self.halflife_images = halflife_images
        self._rampup_ratio = rampup_ratio
        self.averages = [to_local(parameter.detach()).float().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, batch_size: int, cur_nimg: int) -> None:
        """averages ← decay · averages + (1 - decay) · parameters; once per optimizer step."""
        decay = ema_decay(
            batch_size=batch_size,
            cur_nimg=cur_nimg,
            halflife_images=self.halflife_images,
            rampup_ratio=self._rampup_ratio,
        )
        torch._foreach_lerp_(self.averages, self._values(), 1 - decay)

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Overwrites the parameters with their averages."""
        torch._foreach_copy_(self._values(), self.averages)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters hold the averages inside the block, and their own values, to the bit, after it."""
        own = [values.clone() for values in self._values()]
        self.copy_to_parameters()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._values(), own)

    def state_dict(self, *, kept: bool = True) -> dict[str, torch.Tensor]:
        """The whole averages by position, on the CPU, for a checkpoint; every process must call it.

        They are gathered one by one, as their device may not hold all of them whole.

        Args:
            kept: Whether this process wants them; if not, it helps to gather them and returns none.
        """
        whole = {}
        for position, (average, parameter) in enumerate(zip(self.averages, self._parameters, strict=True)):
            values = to_full(average, parameter)
            if kept:
                # Contiguous, as safetensors takes nothing else: channels_last weights are not.
                whole[str(position)] = values.cpu().contiguous()
            del values  # before the next one is gathered
        return whole

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restores averages in place."""
        for position, (average, parameter) in enumerate(zip(self.averages, self._parameters, strict=True)):
            average.copy_(local_values(state[str(position)], parameter))

    def _values(self) -> list[torch.Tensor]:
        """What this process holds of the parameters."""
        return [to_local(parameter.detach()) for parameter in self._parameters]
