"""Moments of features over many steps of a training, of which the newest step's part has a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed


@dataclass(frozen=True)
class BlendedMoments:
    """Moments in float64, of which ``share`` is the newest batch's.

    Attributes:
        mean: (num_features,).
        covariance: (num_features, num_features), divided by the count.
        share: Weight of the newest batch, in (0, 1]; a gradient with respect to its moments is this much smaller than
            to the blended ones.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    share: float


class RunningMoments:
    """First and second moments, blended with each batch's: m ← β m + (1 - β) m_batch (arXiv 2604.28190).

    The first 1 / (1 - β) batches are averaged instead, as there is nothing to blend them with.

    Args:
        num_features: Length of the vectors of features.
        momentum: β, in [0, 1).
        device: Where they are kept; it must have float64.
    """

    def __init__(self, num_features: int, momentum: float, device: torch.device) -> None:
        self._momentum, self._count = momentum, 0
        self._mean = torch.zeros(num_features, dtype=torch.float64, device=device)
        self._second = torch.zeros(num_features, num_features, dtype=torch.float64, device=device)

    def blend(self, features: torch.Tensor) -> BlendedMoments:
        """Takes in a batch of features (batch, num_features), equally many on each process."""
        exact = features.to(self._mean)
        self._count += 1
        share = max(1 / self._count, 1 - self._momentum)
        mean = torch.lerp(self._mean, over_processes(exact.mean(dim=0)), share)
        second = torch.lerp(self._second, over_processes(exact.T @ exact / len(exact)), share)
        self._mean, self._second = mean.detach(), second.detach()
        return BlendedMoments(mean, second - torch.outer(mean, mean), share)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The moments, and the number of batches."""
        return {"mean": self._mean.clone(), "second": self._second.clone(), "count": torch.tensor(self._count)}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Goes on from them."""
        self._mean, self._second = (state[name].to(self._mean, copy=True) for name in ("mean", "second"))
        self._count = int(state["count"])


def over_processes(own: torch.Tensor) -> torch.Tensor:
    """Mean over all processes; every process must call it.

    The gradient with respect to a process's own part is that of its mean alone, not a share of it, as trainings average
    gradients over processes.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own
    total = own.detach().clone()
    torch.distributed.all_reduce(total)
    # own - own is 0, of gradient 1.
    return total / torch.distributed.get_world_size() + (own - own.detach())
