"""Reconstruction: how an autoencoder is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.methods.objective import Batch, Objective

LARGEST_LOG_VARIANCE = 20.0
SMALLEST_LOG_VARIANCE = -30.0
"""Where diffusers' ``DiagonalGaussianDistribution`` clamps the logarithm of a posterior's variance."""


@dataclass(frozen=True)
class Reconstruction(Objective):
    """L1 on pixels and a small pull of the posterior towards N(0, I) (Rombach et al. 2022, app. G).

    As in their published code (``contperceptual.py``) both are sums over a sample, Σ |x - x̂| + ``kl_weight`` · KL;
    here divided by the image's entries, so that the value does not depend on its size. Their perceptual and
    adversarial terms are left out: they need networks trained on photographs.

    Attributes:
        latent_shape: (channels, height, width).
        kl_weight: Weight of the KL divergence, ≥ 0.
    """

    latent_shape: tuple[int, int, int]
    kl_weight: float

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Noise of the posteriors, (batch, *latent_shape)."""
        return {"noise": torch.randn(len(x_1), *self.latent_shape, generator=generator)}

    def times(self, batch: Batch) -> torch.Tensor:
        """1, the time of images."""
        return torch.ones(len(batch["x_1"]), device=batch["x_1"].device)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Mean absolute error of a pixel plus the weighted divergence, (batch,)."""
        found = network(batch["x_1"], batch["noise"])
        error: torch.Tensor = (found.sample.float() - batch["x_1"]).abs().flatten(1).mean(dim=1)
        divergence = divergence_from_standard_normal(found.moments.float())
        return error + self.kl_weight * divergence / batch["x_1"][0].numel()


def divergence_from_standard_normal(moments: torch.Tensor) -> torch.Tensor:
    """KL(N(m, diag e^l) ‖ N(0, I)) = ½ Σ (m² + e^l - 1 - l) (Kingma & Welling 2014, app. B), in nats.

    Args:
        moments: m and l, one after the other, (batch, 2 · channels, height, width).

    Returns:
        (batch,).
    """
    mean, log_variance = moments.chunk(2, dim=1)
    log_variance = log_variance.clamp(SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(dim=1)
