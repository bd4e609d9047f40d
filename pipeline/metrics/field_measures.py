"""Errors of a learned velocity field against the closed form of a Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldMeasures:
    """A velocity field v learned from independent pairs against the exact v* of a Gaussian mixture.

    Attributes:
        velocity_error: Relative L2 error sqrt(E‖v - v*‖² / E‖v*‖²), over t ~ U[0, 1) and x_t on the path.
        log_likelihood_error: Mean of |log p - log p*| at fresh points, in nats.
        log_likelihood: Mean of log p at fresh points, in nats.
        exact_log_likelihood: Mean of log p* at the same points, in nats.
        num_samples: Points of the velocity error.
        num_likelihoods: Points of the likelihoods.
    """

    velocity_error: float
    log_likelihood_error: float
    log_likelihood: float
    exact_log_likelihood: float
    num_samples: int
    num_likelihoods: int
