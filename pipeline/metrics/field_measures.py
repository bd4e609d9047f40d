"""What is measured of a learned velocity field against the closed form of a mixture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldMeasures:
    """A learned mean velocity of independent pairs against the closed form of a mixture.

    Attributes:
        velocity_error: sqrt(E‖v - v*‖² / E‖v*‖²) over the times and densities of the path: relative L2.
        log_likelihood_error: Mean of |log p - log p*| at fresh points, in nats.
        log_likelihood: Mean of log p at fresh points.
        exact_log_likelihood: Mean of log p* there.
        num_samples: Points of the velocity error.
        num_likelihoods: Points of the likelihoods.
    """

    velocity_error: float
    log_likelihood_error: float
    log_likelihood: float
    exact_log_likelihood: float
    num_samples: int
    num_likelihoods: int
