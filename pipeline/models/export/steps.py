"""A student's Euler steps as one module, from noise to image."""

from __future__ import annotations

import itertools

import torch

from pipeline.flow.solvers import uniform_grid
from pipeline.models.student import predict_mean_velocity, predict_velocity


class StudentSteps(torch.nn.Module):
    """``num_steps`` steps of equal length, x_t' = x_t + (t' - t) v, unrolled.

    They are those of :func:`pipeline.flow.solvers.euler`, and of :func:`pipeline.flow.solvers.flow_map_euler` for a
    student of two times, in operations that keep the batch a symbol while they are traced: ``len`` makes it a number.

    Args:
        network: The student's, as saved.
        num_steps: Steps, each one call of the network.
        two_times: Whether the network takes the time that a step ends at as well.
    """

    def __init__(self, network: torch.nn.Module, num_steps: int, *, two_times: bool) -> None:
        super().__init__()
        self.network, self.two_times = network, two_times
        self.times = uniform_grid(num_steps)

    def forward(self, x_0: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """The image x_1 of noise ``x_0`` (batch, channels, height, width), same shape; it is not clipped to [-1, 1].

        Args:
            x_0: Noise, float32.
            labels: Classes, (batch,), int64; None for an unconditional student.
        """
        x = x_0
        for start, end in itertools.pairwise(self.times):
            at_start = x.new_full(x.shape[:1], start)
            if self.two_times:
                velocity = predict_mean_velocity(self.network, x, at_start, x.new_full(x.shape[:1], end))
            else:
                velocity = predict_velocity(self.network, x, at_start, labels)
            x = x + (end - start) * velocity
        return x
