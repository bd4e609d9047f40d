"""Mean flow: the mean velocity of a step of any length, from the identity that it satisfies."""

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


@dataclass(frozen=True)
class MeanFlow(Objective):
    """Regression of u(x_t, t, r) = v + (r - t) du/dt on the pairs' lines (Geng et al. 2025, eq. 6 and 10).

    u is the mean velocity from t to r, (1 / (r - t)) ∫ v ds; the identity is its definition times r - t, derived by t.
    Their time runs the other way: r is 1 minus theirs, and so is t. du/dt is the total derivative along v = x_1 - x_0,
    ∂u/∂x · v + ∂u/∂t, of the student itself and without a gradient. On couplings of a model in place of independent
    pairs it is Re-MeanFlow (arXiv 2511.23342).

    Attributes:
        timesteps: Distribution of t.
        velocity_loss: Loss between predicted and true mean velocity.
        share_of_velocity: Share of samples at r = t, where the target is v alone, in [0, 1).
        share_to_image: Share of the others at r = 1; the rest's r is uniform in [t, 1).
        difference_step: h of the central difference (u at t + h - u at t - h) / 2h along the line; times beyond 0 or r
            are cut off there.
    """

    timesteps: TimeSampler
    velocity_loss: VelocityLoss
    share_of_velocity: float
    share_to_image: float
    difference_step: float

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times ``t``, ``end`` and whether they are equal, (batch,) each."""
        t = self.timesteps(len(x_1), generator)
        still = spread_share(len(x_1), Fraction(str(self.share_of_velocity)))
        uniform = torch.rand(len(x_1), generator=generator)
        far = torch.rand(len(x_1), generator=generator) < self.share_to_image
        end = torch.lerp(t, torch.ones(()), uniform.masked_fill(far, 1).masked_fill(still, 0))
        return {"t": t, "end": end, "still": still}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted mean velocity, (batch,)."""
        x_0, x_1, t, end = batch["x_0"], batch["x_1"], batch["t"], batch["end"]
        velocity = linear_velocity(x_0, x_1)
        rows = rows_outside(batch["still"], most_outside(len(t), Fraction(str(self.share_of_velocity))))
        # Rows that move and are not among these would have no target; NaN stops a training.
        target = velocity.masked_fill(per_sample(~batch["still"], velocity), torch.nan)
        if len(rows):
            curvature = self._curvature(network, x_0[rows], x_1[rows], t[rows], end[rows])
            target = target.index_copy(0, rows, velocity[rows] + curvature)
        x_t = linear_path(x_0, x_1, t)
        return self.velocity_loss(predict_mean_velocity(network, x_t, t, end), target, x_t, t)

    @torch.no_grad()
    def _curvature(
        self, network: torch.nn.Module, x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor, end: torch.Tensor
    ) -> torch.Tensor:
        """(r - t) du/dt, (batch, …), by a difference of two calls on the pairs' lines."""
        later, earlier = torch.minimum(t + self.difference_step, end), (t - self.difference_step).clamp(min=0)
        change = predict_mean_velocity(network, linear_path(x_0, x_1, later), later, end)
        change = change - predict_mean_velocity(network, linear_path(x_0, x_1, earlier), earlier, end)
        # Where r is t, both may be at 0: there is no change then, and no step to correct.
        return per_sample((end - t) / (later - earlier).clamp(min=torch.finfo(t.dtype).tiny), change) * change
