"""Shortcut: a step of any length, from two of half its length that the student itself takes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.flow.paths import linear_path, linear_velocity, per_sample
from pipeline.flow.timesteps import TimeSampler
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.shares import most_outside, rows_outside, spread_share
from pipeline.models.student import predict_mean_velocity

SMALLEST_STEP, HALVINGS = 2.0**-7, 7
"""1/128 of the way (Frans et al. 2024): steps as short, and shorter ones, are two of no length."""


@dataclass(frozen=True)
class Shortcut(Objective):
    """Self-consistency of the mean velocity u(x_t, t, r) (Frans et al. 2024, eq. 5; SplitMeanFlow, arXiv 2507.16884).

    Two shares of the batch have targets of the pairs: at r = t the velocity x_1 - x_0 at x_t on their line, and from
    t = 0 to r = 1 the same x_1 - x_0, which is the mean velocity along a coupling of the ODE. The rest learns from the
    student, with m in the middle of t and r: half of sg[u(x_t, t, m) + u(x_m, m, r)], x_m = x_t + (m - t) u(x_t, t, m).

    Attributes:
        timesteps: Distribution of t; with ``halving`` that of the first share alone.
        velocity_loss: Loss between predicted and true mean velocity.
        share_of_velocity: Share of samples at r = t.
        share_of_pairs: Share of samples from t = 0 to r = 1, besides.
        halving: Whether the rest's steps are 1, 1/2, …, 1/128 at multiples of themselves, each as often; else r is
            uniform in [t, 1).
    """

    timesteps: TimeSampler
    velocity_loss: VelocityLoss
    share_of_velocity: float
    share_of_pairs: float
    halving: bool

    @property
    def _share_taught(self) -> Fraction:
        """Share of samples with targets of the pairs."""
        return Fraction(str(self.share_of_velocity)) + Fraction(str(self.share_of_pairs))

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times ``t``, ``end``, and whether the target is the pair's, (batch,) each."""
        count = len(x_1)
        t, uniform = self.timesteps(count, generator), torch.rand(count, generator=generator)
        halvings = torch.randint(HALVINGS + 1, (count,), generator=generator)
        taught = spread_share(count, self._share_taught)
        whole = torch.zeros(count, dtype=torch.bool)
        whole[taught] = spread_share(int(taught.sum()), Fraction(str(self.share_of_pairs)) / self._share_taught)
        if self.halving:
            steps = 2.0**-halvings
            start, end = (uniform / steps).floor() * steps, (uniform / steps).floor() * steps + steps
        else:
            start, end = t, torch.lerp(t, torch.ones(()), uniform)
        start, end = torch.where(taught, t, start), torch.where(taught, t, end)
        return {"t": start.masked_fill(whole, 0), "end": end.masked_fill(whole, 1), "taught": taught}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted mean velocity, (batch,)."""
        x_0, x_1, t, end, taught = (batch[name] for name in ("x_0", "x_1", "t", "end", "taught"))
        x_t, of_pair = linear_path(x_0, x_1, t), linear_velocity(x_0, x_1)
        rows = rows_outside(taught, most_outside(len(t), self._share_taught))
        # Rows that the student teaches and that are not among these would have no target; NaN stops a training.
        target = of_pair.masked_fill(per_sample(~taught, of_pair), torch.nan)
        if len(rows):
            of_student = two_half_steps(network, x_t[rows], t[rows], end[rows])
            chosen = torch.where(per_sample(taught[rows], of_student), of_pair[rows], of_student)
            target = target.index_copy(0, rows, chosen)
        return self.velocity_loss(predict_mean_velocity(network, x_t, t, end), target, x_t, t)


@torch.no_grad()
def two_half_steps(network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Mean velocity of the student's two steps from t over the middle to ``end``, without a gradient, (batch, …).

    Steps of at most :data:`SMALLEST_STEP` ask for velocities, as no shorter step is learned.
    """
    half = (end - t) / 2
    middle, asked = t + half, torch.where(end - t > SMALLEST_STEP, half, torch.zeros_like(half))
    first = predict_mean_velocity(network, x_t, t, t + asked)
    x_m = x_t + per_sample(half, x_t) * first
    return (first + predict_mean_velocity(network, x_m, middle, middle + asked)) / 2
