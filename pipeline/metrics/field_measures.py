"""Errors of a learned velocity field against the closed form of a Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import FiniteFloat, NonNegativeFloat, PositiveInt
from pipeline.system.typed_content import NO_OTHER_KEYS


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

    __pydantic_config__ = NO_OTHER_KEYS

    velocity_error: NonNegativeFloat
    log_likelihood_error: NonNegativeFloat
    log_likelihood: FiniteFloat
    exact_log_likelihood: FiniteFloat
    num_samples: PositiveInt
    num_likelihoods: PositiveInt
