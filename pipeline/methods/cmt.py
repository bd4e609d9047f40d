"""Consistency mid-training: distillation of the solver's states to the image that they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.config.methods import CmtConfig
from pipeline.flow.losses import VelocityLoss
from pipeline.flow.paths import per_sample
from pipeline.methods.objective import Batch, Objective
from pipeline.models.student import predict_velocity
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Cmt(Objective):
    """Regression of the image that a solver ends in, from the states that it went through on the way.

    Hu et al. 2025 (CMT, arXiv 2509.24526): the loss L_CMT-CM = E_i E[d(f(x̂_{t_i}, t_i), x̂_{t_0})], d a distance, over
    the states x̂_{t_i} of a trajectory from noise, x̂_{t_0} its image. Here f(z, t) = z + (1 - t) v(z, t): a state z at t
    learns the velocity (x_1 - z) / (1 - t) with weight 1 - t, as :class:`pipeline.methods.any_step.AnyStep` does at
    states of its own, which for a norm d is the paper's loss. The trajectory's start is x_0 at t = 0.

    Attributes:
        velocity_loss: Loss between predicted and true velocity.
        state_times: Times of the states that are learned, the first of a batch's ``states``, below 1.
        share_at_noise: Probability of t = 0; otherwise each state is as likely.
    """

    velocity_loss: VelocityLoss
    state_times: tuple[float, ...]
    share_at_noise: float

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """The number of a state (batch,), int64, and its time t (batch,), which is 0 for the noise instead."""
        number = torch.randint(len(self.state_times), (len(x_1),), generator=generator)
        at_noise = torch.rand(len(x_1), generator=generator) < self.share_at_noise
        return {"state": number, "t": torch.tensor(self.state_times)[number].masked_fill(at_noise, 0)}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return batch["t"]

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """(1 - t) · loss of the velocity predicted at the drawn state, (batch,)."""
        x_0, x_1, t, number = batch["x_0"], batch["x_1"], batch["t"], batch["state"]
        solved = batch["states"][torch.arange(len(t), device=t.device), number].float()
        z = torch.where(per_sample(t > 0, x_0), solved, x_0)
        velocity = predict_velocity(network, z, t, batch.get("labels"))
        return (1 - t) * self.velocity_loss(velocity, (x_1 - z) / per_sample(1 - t, z), z, t)


def build_cmt(method: CmtConfig, velocity_loss: VelocityLoss, state_times: Sequence[float]) -> Cmt:
    """The configured method on couplings whose states are at ``state_times``.

    Raises:
        StraightflowError: If none of them is early enough.
    """
    problem = method.times_problem(state_times)
    if problem is not None:
        raise StraightflowError(
            expected="couplings with states that cmt learns", found=problem, mend="change the method or its couplings"
        )
    times = tuple(t for t in state_times if t <= method.latest_time)
    return Cmt(velocity_loss, times, method.share_at_noise)
