"""Any velocity field in the form of a student's network."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from pipeline.flow.noise import step_generator
from pipeline.flow.paths import per_sample
from pipeline.methods.objective import Batch, Objective
from pipeline.models.student import NUM_TRAIN_TIMESTEPS
from pipeline.training.samples import with_progress


class Field(torch.nn.Module):
    """A velocity field given as a function of x, t (broadcast over x) and labels, called like a student's network."""

    def __init__(self, velocity, **parameters: float) -> None:
        super().__init__()
        self._velocity = velocity
        for name, value in parameters.items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(value)))
        self.calls: list[SimpleNamespace] = []

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, labels: torch.Tensor | None = None) -> SimpleNamespace:
        self.calls.append(SimpleNamespace(x=x, timestep=timestep, labels=labels, gradient=torch.is_grad_enabled()))
        t = per_sample(1 - timestep / NUM_TRAIN_TIMESTEPS, x)
        return SimpleNamespace(sample=-self._velocity(self, x, t, labels))


def end_of(label: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The time that a step ends at, broadcast over x, from the label that a network of two times gets for it."""
    return per_sample(1 - label / NUM_TRAIN_TIMESTEPS, x)


def drawn(
    objective: Objective, x_0: torch.Tensor, x_1: torch.Tensor, *, progress: float = 0.0, **others: torch.Tensor
) -> Batch:
    """A batch of these pairs with what the objective draws, when this share of the training is over."""
    pairs = with_progress({"x_0": x_0, "x_1": x_1, **others}, progress)
    return pairs | objective.draw(x_1, step_generator(0, 1))
