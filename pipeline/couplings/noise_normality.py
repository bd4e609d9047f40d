"""How close noise is to N(0, I), by its moments."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NoiseNormality:
    """Moments of noise, each given below with its value for N(0, I).

    Attributes:
        mean: Mean of all entries; 0.
        variance: Their variance; 1.
        smallest_pixel_variance: Variance over samples of the entry that varies least; 1 up to sampling error.
        largest_pixel_variance: The same of the entry that varies most.
        norm_ratio: Mean of ‖x_0‖ / sqrt(d); just below 1.
        norm_spread: Standard deviation of ‖x_0‖; 0.707 for large d.
    """

    mean: float
    variance: float
    smallest_pixel_variance: float
    largest_pixel_variance: float
    norm_ratio: float
    norm_spread: float


def noise_normality(x_0: torch.Tensor) -> NoiseNormality:
    """Measures samples of noise, (batch, …); variances are those of the samples themselves, about their mean."""
    flat = x_0.float().flatten(1)
    norms = flat.norm(dim=1)
    pixel_variances = flat.var(dim=0, correction=0)
    return NoiseNormality(
        mean=float(flat.mean()),
        variance=float(flat.var(correction=0)),
        smallest_pixel_variance=float(pixel_variances.min()),
        largest_pixel_variance=float(pixel_variances.max()),
        norm_ratio=float(norms.mean()) / flat.shape[1] ** 0.5,
        norm_spread=float(norms.std(correction=0)),
    )
