"""Error of a learned velocity field, and of its likelihood, against the closed form of a Gaussian mixture."""

from __future__ import annotations

import torch

from pipeline.config.noise import NoiseConfig
from pipeline.flow.noise import place_noise, step_generator
from pipeline.flow.paths import linear_path
from pipeline.flow.solvers import Field
from pipeline.metrics.field_measures import FieldMeasures
from pipeline.metrics.likelihood import log_likelihood
from pipeline.system.typed_content import require_possible
from pipeline.toys.gaussian_mixture import GaussianMixture

FIELD_STREAM = 0  # number of the random stream; pipeline.evaluation.point_sweep takes those from 1 on


def field_error(
    field: Field,
    mixture: GaussianMixture,
    noise: NoiseConfig,
    *,
    num_samples: int,
    num_likelihoods: int,
    seed: int,
    device: torch.device,
) -> FieldMeasures:
    """Compares a field that was trained on independent pairs with the mixture's exact one.

    Args:
        field: Learned velocity field, on ``device``.
        mixture: Distribution of x_1.
        noise: Distribution of x_0.
        num_samples: Points of the velocity error.
        num_likelihoods: Points of the likelihood error.
        seed: Seed of all random draws.
        device: Where both fields are evaluated.
    """
    generator = step_generator(seed, -1 - FIELD_STREAM)
    x_1 = mixture.sample(num_samples, generator)
    x_0 = place_noise(torch.randn(x_1.shape, generator=generator), noise)
    t = torch.rand(num_samples, generator=generator)
    x_t, t = linear_path(x_0, x_1, t).to(device), t.to(device)
    exact = mixture.velocity(x_t, t, noise)
    with torch.no_grad():
        difference = field(x_t, t) - exact
    fresh = mixture.sample(num_likelihoods, generator).to(device)
    found, known = log_likelihood(field, fresh, noise, rtol=1e-4, atol=1e-4), mixture.log_prob(fresh)
    measures = FieldMeasures(
        velocity_error=float((difference.square().sum() / exact.square().sum()).sqrt()),
        log_likelihood_error=float((found - known).abs().mean()),
        log_likelihood=float(found.mean()),
        exact_log_likelihood=float(known.mean()),
        num_samples=num_samples,
        num_likelihoods=num_likelihoods,
    )
    return require_possible(measures, "the error of the velocity field")
