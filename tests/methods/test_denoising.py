from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.methods.denoising import Denoising
from pipeline.models.pretrained import training_scheduler

TIMESTEPS = torch.tensor([0, 10, 500, 999])


def coefficients() -> tuple[torch.Tensor, torch.Tensor]:
    """alpha and sigma of linear betas from 1e-4 to 0.02 (Ho et al. 2020, sec. 4), (4, 1, 1, 1)."""
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[TIMESTEPS.numpy()]
    return tuple(torch.from_numpy(np.sqrt(part)).float().reshape(-1, 1, 1, 1) for part in (kept, 1 - kept))


class Answers(torch.nn.Module):
    """Predicts what it was given, and notes what it is asked."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer, self.asked = answer, torch.empty(0)

    def forward(self, x: torch.Tensor, timestep: torch.Tensor) -> SimpleNamespace:
        assert torch.equal(timestep, TIMESTEPS)
        self.asked = x
        return SimpleNamespace(sample=self.answer)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_loss_is_the_squared_error_of_what_is_predicted(prediction_type) -> None:
    generator = torch.Generator().manual_seed(0)
    x_1, noise = (torch.randn(4, 1, 3, 3, generator=generator) for _ in range(2))
    alpha, sigma = coefficients()
    target = {"epsilon": noise, "v_prediction": alpha * noise - sigma * x_1}[prediction_type]  # Salimans & Ho, app. D
    objective = Denoising(training_scheduler(prediction_type))
    batch = {"x_1": x_1, "noise": noise, "timestep": TIMESTEPS}
    right, off = Answers(target), Answers(target + torch.tensor([0.0, 0.5, 1.0, 2.0]).reshape(-1, 1, 1, 1))
    torch.testing.assert_close(objective.loss(right, batch), torch.zeros(4), rtol=0, atol=1e-10)
    torch.testing.assert_close(objective.loss(off, batch), torch.tensor([0.0, 0.25, 1.0, 4.0]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(right.asked, alpha * x_1 + sigma * noise, rtol=1e-5, atol=1e-6)


def test_times_run_from_noise_to_image() -> None:
    objective = Denoising(training_scheduler())
    assert objective.times({"timestep": TIMESTEPS}).tolist() == pytest.approx([1.0, 0.99, 0.5, 0.001], abs=1e-6)
    drawn = objective.draw(torch.zeros(4000, 1), torch.Generator().manual_seed(0))
    assert (int(drawn["timestep"].min()), int(drawn["timestep"].max())) == (0, 999)
    assert abs(float(drawn["noise"].std()) - 1) < 0.05
