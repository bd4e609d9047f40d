from __future__ import annotations

import pytest
import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.metrics.field_error import field_error
from pipeline.toys.distributions import TOYS


@pytest.mark.parametrize(
    ("source", "noise"), [("bimodal_1d", STANDARD_NOISE), ("two_gaussians", NoiseConfig(mean=(0.0, -5.0)))]
)
def test_the_exact_field_has_no_error_and_a_scaled_one_that_scale(source: str, noise: NoiseConfig) -> None:
    mixture = TOYS[source].mixture
    assert mixture is not None

    def exact(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return mixture.velocity(x, t, noise)

    counts = {"num_samples": 2000, "num_likelihoods": 32, "seed": 0, "device": torch.device("cpu")}
    found = field_error(exact, mixture, noise, **counts)
    assert found.velocity_error == 0
    assert found.log_likelihood_error < 0.01
    assert found.log_likelihood == pytest.approx(found.exact_log_likelihood, abs=0.01)
    wrong = field_error(lambda x, t: 1.1 * exact(x, t), mixture, noise, **counts)
    assert wrong.velocity_error == pytest.approx(0.1, rel=1e-4)
    assert wrong.log_likelihood_error > 0.05
