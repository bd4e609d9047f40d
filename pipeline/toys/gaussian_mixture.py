"""Mixtures of isotropic Gaussians: density and velocity field in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig


@dataclass(frozen=True)
class GaussianMixture:
    """Σ_k w_k N(μ_k, s_k² I).

    Attributes:
        weights: w_k, (components,), summing to 1.
        means: μ_k, (components, dim).
        stds: s_k, (components,).
    """

    weights: torch.Tensor
    means: torch.Tensor
    stds: torch.Tensor

    @property
    def dim(self) -> int:
        """Dimension of a point."""
        return self.means.shape[1]

    def sample(self, num: int, generator: torch.Generator) -> torch.Tensor:
        """Independent points, (num, dim)."""
        component = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        noise = torch.randn(num, self.dim, generator=generator, dtype=self.means.dtype)
        return self.means[component] + self.stds[component, None] * noise

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` (batch, dim); (batch,)."""
        return self._joint(x, self.means.to(x), self.stds.to(x)[None]).logsumexp(dim=1)

    def velocity(self, x_t: torch.Tensor, t: torch.Tensor, noise: NoiseConfig = STANDARD_NOISE) -> torch.Tensor:
        """E[x_1 - x_0 | x_t] of independent pairs on the linear path, the minimiser of flow matching's loss.

        Given component k, x_t = (1 - t) x_0 + t x_1 is N((1 - t) m + t μ_k, V_k I), V_k = (1 - t)² σ² + t² s_k². Its
        mean velocity is linear in x_t: μ_k - m + c_k (x_t - E x_t) with c_k = (t s_k² - (1 - t) σ²) / V_k. The
        components' velocities are averaged with their posterior weights (Lipman et al. 2023, eq. 8; Albergo, Boffi &
        Vanden-Eijnden 2023, app. A, on Gaussian mixtures).

        Args:
            x_t: (batch, dim).
            t: (batch,) in [0, 1].
            noise: Distribution N(m, σ² I) of x_0.
        """
        means, stds, t = self.means.to(x_t), self.stds.to(x_t), t.to(x_t)[:, None]
        start = x_t.new_tensor(noise.mean or (0.0,) * self.dim)
        variance = ((1 - t) * noise.std) ** 2 + (t * stds) ** 2
        centres = (1 - t)[..., None] * start + t[..., None] * means
        share = self._joint(x_t, centres, variance.sqrt()).softmax(dim=1)
        slope = (t * stds**2 - (1 - t) * noise.std**2) / variance
        velocities = means - start + slope[..., None] * (x_t[:, None] - centres)
        return (share[..., None] * velocities).sum(dim=1)

    def _joint(self, x: torch.Tensor, means: torch.Tensor, stds: torch.Tensor) -> torch.Tensor:
        """log w_k N(x; means_k, stds_k²), (batch, components)."""
        distance = ((x[:, None] - means) / stds[..., None]).square().sum(dim=2)
        log_scale = self.dim * (stds.log() + 0.5 * math.log(2 * math.pi))
        return self.weights.to(x).log() - log_scale - 0.5 * distance
