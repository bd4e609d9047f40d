"""Any step: distillation of couplings to one student that is better with every step."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch

from pipeline.flow.losses import VelocityLoss
from pipeline.flow.paths import per_sample
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.shares import most_outside, rows_outside, spread_share
from pipeline.models.student import predict_velocity


@dataclass(frozen=True)
class AnyStep(Objective):
    """Regression from the student's own states to the pair's image: what its first step missed, later ones add.

    A share of the batch is at t = 0, which is :mod:`pipeline.methods.fixed_steps` of one step. The rest is where the
    student's own first step leads, x_t = x_0 + t · sg[v(x_0, 0)], and learns the velocity from there to the image,
    (x_1 - x_t) / (1 - t), with weight 1 - t. sg keeps gradients out of the step. States of one's own in place of the
    data's are imitation learning's (Ross et al. 2011, DAgger).

    Attributes:
        velocity_loss: Loss between predicted and true velocity.
        share_at_noise: Share of samples at t = 0, in (0, 1].
        latest_time: The other times are uniform in [0, latest_time), below 1.
    """

    velocity_loss: VelocityLoss
    share_at_noise: float
    latest_time: float

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,). Rows at t = 0 are spread evenly, so that every process has its part of them."""
        at_noise = spread_share(len(x_1), Fraction(str(self.share_at_noise)))
        return {"t": (self.latest_time * torch.rand(len(x_1), generator=generator)).masked_fill(at_noise, 0)}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """(1 - t) · loss of the velocity predicted at the student's own state, (batch,)."""
        x_1, t, labels = batch["x_1"], batch["t"], batch.get("labels")
        most_after_noise = most_outside(len(t), Fraction(str(self.share_at_noise)))
        x_t = own_states(network, batch["x_0"], t, labels, most_after_noise)
        velocity = predict_velocity(network, x_t, t, labels)
        target = (x_1 - x_t) / per_sample(1 - t, x_t)
        return (1 - t) * self.velocity_loss(velocity, target, x_t, t)


@torch.no_grad()
def own_states(
    network: torch.nn.Module, x_0: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None, num_rows: int
) -> torch.Tensor:
    """x_t = x_0 + t · v(x_0, 0), without a gradient.

    Which rows are at t = 0 is known on the device alone; asking would make the host wait for it. Their number is
    known, so the network is called for ``num_rows`` rows with all of the others.

    Args:
        network: The student.
        x_0: Noise, (batch, …).
        t: Times in [0, 1), (batch,).
        labels: Classes, (batch,), or None.
        num_rows: At least the number of rows with t > 0. States of rows beyond it are NaN, which stops a training.

    Returns:
        (batch, …).
    """
    x_t = x_0.masked_fill(per_sample(t > 0, x_0), torch.nan)
    if num_rows == 0:
        return x_t
    rows = rows_outside(t == 0, num_rows)
    start, own_labels = x_0[rows], None if labels is None else labels[rows]
    velocity = predict_velocity(network, start, torch.zeros_like(t[rows]), own_labels)
    return x_t.index_copy(0, rows, start + per_sample(t[rows], start) * velocity)
