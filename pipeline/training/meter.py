"""Losses and gradient norms of training steps, summed on the device and read only now and then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator

TIME_BUCKETS = 10


class LossRecord(NamedTuple):
    """What is recorded of the steps since the row before.

    Attributes:
        step: Last of these steps.
        loss: Mean loss of their samples.
        learning_rate: Of the last step.
        gradient_norm: Mean global norm before clipping.
        loss_by_time: Mean loss by tenth of t, from noise to images; None for a tenth without samples.
        heldout_loss: Loss of the averaged weights on held-out samples; None where it was not measured.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    loss_by_time: tuple[float | None, ...]
    heldout_loss: float | None


@dataclass(frozen=True)
class Reading:
    """Means since the last reading, over all processes; see :class:`LossRecord`."""

    loss: float
    gradient_norm: float
    loss_by_time: tuple[float | None, ...]


def time_bucket(t: torch.Tensor) -> torch.Tensor:
    """Tenth of [0, 1] that each time lies in, 0 to 9, int64."""
    return (t * TIME_BUCKETS).long().clamp(0, TIME_BUCKETS - 1)


class Meter:
    """Sums losses by time and gradient norms without making the host wait.

    It also keeps the losses of the first step whose loss or gradient was not finite, on which a run must stop.
    """

    def __init__(self, accelerator: Accelerator, num_samples: int) -> None:
        self._accelerator = accelerator
        device = accelerator.device
        self._sums = torch.zeros(2, TIME_BUCKETS, device=device)
        self._norm_sum = torch.zeros((), device=device)
        self._steps = 0
        self._first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self._bad_losses = torch.zeros(num_samples, device=device)

    @torch.no_grad()
    def add(self, step: int, losses: torch.Tensor, t: torch.Tensor, gradient_norm: torch.Tensor) -> None:
        """Counts a step: losses and times of this process's samples, and the global gradient norm."""
        buckets = time_bucket(t)
        self._sums[0].index_add_(0, buckets, losses)
        self._sums[1].index_add_(0, buckets, torch.ones_like(losses))
        self._norm_sum += gradient_norm
        self._steps += 1
        bad = ~torch.isfinite(losses.sum() + gradient_norm) & (self._first_bad_step < 0)
        self._first_bad_step.masked_fill_(bad, step)
        self._bad_losses = torch.where(bad, losses, self._bad_losses)

    def read(self) -> Reading:
        """Means over all processes since the last reading; resets the sums."""
        sums = self._accelerator.reduce(self._sums.clone(), "sum")
        totals, counts = sums.tolist()
        norm = float(self._norm_sum) / self._steps
        self._sums.zero_()
        self._norm_sum.zero_()
        self._steps = 0
        by_time = tuple(total / count if count else None for total, count in zip(totals, counts, strict=True))
        return Reading(sum(totals) / sum(counts), norm, by_time)

    def state_dict(self) -> dict[str, list[list[float]] | float | int]:
        """The sums over all processes since the last reading, for a checkpoint; every process must call it."""
        sums = self._accelerator.reduce(self._sums.clone(), "sum")
        return {"losses": sums.tolist(), "gradient_norms": float(self._norm_sum), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from sums saved on any number of processes."""
        if self._accelerator.is_main_process:
            self._sums.copy_(torch.tensor(state["losses"]))
        self._norm_sum.fill_(state["gradient_norms"])
        self._steps = int(state["steps"])

    def first_bad_step(self) -> int | None:
        """The first step with a loss or gradient that was not finite on any process; every process must call it."""
        steps = [step for step in self._accelerator.gather(self._first_bad_step).reshape(-1).tolist() if step >= 0]
        return min(steps, default=None)

    def bad_rows(self, step: int) -> list[int]:
        """This process's rows of that step whose own loss was not finite."""
        if int(self._first_bad_step) != step:
            return []
        return torch.nonzero(~torch.isfinite(self._bad_losses)).flatten().tolist()
