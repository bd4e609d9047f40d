"""The schedule of consistency distillation: how far apart the two times of a step are while it trains."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Schedule:
    """How far the second of two times is from the first, and how that shrinks while training (Geng et al. 2024, ECT).

    In noise levels σ = (1 - t)/t, the ones that they train at, the second is σ' = σ · max(0, 1 - n(σ) / q^(a + 1)) in
    stage a = 0, 1, …, with n(σ) = 1 + k / (1 + exp(b σ)), k = 8, b = 1 (as their published code has it). Where that is
    0 one step leads to the image.

    Attributes:
        shrink: q, above 1.
        num_stages: Stages of equal length that a training is divided into.
    """

    shrink: float
    num_stages: int

    def kept(self, sigma: torch.Tensor, progress: torch.Tensor) -> torch.Tensor:
        """σ'/σ in [0, 1) for noise levels and the share of the training that is over, each (batch,)."""
        stage = (progress * self.num_stages).floor().clamp(max=self.num_stages - 1)
        return (1 - (1 + 8 * torch.sigmoid(-sigma)) / self.shrink ** (stage + 1)).clamp(min=0)
