"""A model's ODE as what students follow: its steps, at times of each sample's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.paths import per_sample
from pipeline.models.sampler import Sampler

LabelledField = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""(x_t, t, labels) → dx_t/dt: (batch, …), (batch,), (batch,) or None → (batch, …)."""


@dataclass(frozen=True)
class Ode:
    """dx_t/dt = v(x_t, t) from noise at t = 0 to images at t = 1; no gradient comes out of its steps.

    Attributes:
        velocity: v.
        noise: Distribution of x_0.
        first_time: Least t that ``velocity`` is defined at: above 0 for a diffusion model, whose noisiest level still
            holds some of the image.
        start_scale: Scale of the state at ``first_time`` for noise of scale 1 at t = 0.
        last_time: Largest t that ``velocity`` is defined at: below 1 for a diffusion model.
    """

    velocity: LabelledField
    noise: NoiseConfig = STANDARD_NOISE
    first_time: float = 0.0
    start_scale: float = 1.0
    last_time: float = 1.0

    @torch.no_grad()
    def euler(
        self, x_t: torch.Tensor, t: torch.Tensor, end: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One Euler step, for diffusion models the same as a step of DDIM; one evaluation.

        Args:
            x_t: States, (batch, …).
            t: Where steps start, (batch,) in [0, 1), not after ``last_time``. At 0, but at no other time before
                ``first_time``, the state is pure noise.
            end: Where they end, (batch,) in (t, 1].
            labels: Classes, (batch,); None without.

        Returns:
            States at ``end``, (batch, …).
        """
        x_t, t = self._entered(x_t, t)
        return x_t + per_sample(end - t, x_t) * self.velocity(x_t, t, labels)

    @torch.no_grad()
    def heun(
        self, x_t: torch.Tensor, t: torch.Tensor, end: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One step of Heun's method; two evaluations, the second of no effect where the step ends at t = 1.

        Nor has it any after ``last_time``: a diffusion model has no velocity there (Karras et al. 2022, alg. 1).
        Arguments and result as for :meth:`euler`.
        """
        x_t, t = self._entered(x_t, t)
        step = per_sample(end - t, x_t)
        first = self.velocity(x_t, t, labels)
        second = self.velocity(x_t + step * first, end, labels)
        has_second = (end < 1) & (end <= self.last_time)
        return x_t + step * torch.where(per_sample(has_second, x_t), 0.5 * (first + second), first)

    def _entered(self, x_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States and times at which the model is asked: noise at t = 0 is at ``first_time`` in its scale there."""
        at_noise = t == 0
        scaled = torch.where(per_sample(at_noise, x_t), self.start_scale * x_t, x_t)
        return scaled, torch.where(at_noise, self.first_time, t)


def ode_of(sampler: Sampler) -> Ode:
    """The ODE of a model; its calls run in the precision of its runtime and are counted by it."""

    def velocity(x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        with sampler.runtime.autocast():
            return sampler.velocity_field(labels)(x_t, t)

    schedule = sampler.noise_schedule
    scale = 1.0 if schedule is None else schedule.initial_straight_scale
    first_time, last_time = sampler.time_range()
    return Ode(velocity, sampler.noise, first_time, scale, last_time)
