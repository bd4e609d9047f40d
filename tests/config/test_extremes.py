"""Numbers that float32 cannot compute with are refused where they are set; every first one will just do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.config.flow import LossConfig, TimestepsConfig
from pipeline.config.section import Section
from pipeline.config.solver import SolverConfig
from pipeline.flow.losses import build_loss
from pipeline.flow.timesteps import build_timesteps

SECTIONS: list[tuple[type[Section], dict[str, object], str, float, float]] = [
    (LossConfig, {"name": "pseudo_huber"}, "c", 2.0**47, 2.0**48),
    (LossConfig, {"name": "pseudo_huber"}, "c", 2.0**-63, 2.0**-64),
    (TimestepsConfig, {"name": "exponential"}, "a", 2.0**24, 2.0**25),
    (TimestepsConfig, {"name": "exponential"}, "a", -(2.0**24), -(2.0**25)),
    (TimestepsConfig, {"name": "exponential"}, "a", -(2.0**-63), -(2.0**-64)),
    (TimestepsConfig, {"name": "logit_normal", "std": 1.0}, "mean", -16.0, -16.5),
    (TimestepsConfig, {"name": "logit_normal", "mean": 0.0}, "std", 2.0**63, 2.0**64),
    (SolverConfig, {"name": "dopri5", "atol": 1e-5}, "rtol", 2.0**-24, 2.0**-25),
    (SolverConfig, {"name": "dopri5", "rtol": 1e-5}, "atol", 1.0, 1.1),
]


@pytest.mark.parametrize(("section", "others", "key", "good", "bad"), SECTIONS)
def test_extremes_are_refused_by_their_type(
    section: type[Section], others: dict[str, object], key: str, good: float, bad: float
) -> None:
    section.model_validate(others | {key: good})
    with pytest.raises(ValidationError, match=key):
        section.model_validate(others | {key: bad})


@pytest.mark.parametrize("c", [2.0**-63, 2.0**47])
def test_a_loss_at_its_extremes_has_finite_gradients_where_the_error_is_0_too(c: float) -> None:
    prediction = torch.zeros(2, 3, 32, 32, requires_grad=True)
    target = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])
    loss = build_loss(LossConfig(name="pseudo_huber", c=c))(prediction, target)
    loss.sum().backward()
    assert prediction.grad is not None
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(prediction.grad).all())


def test_the_smallest_steepness_is_uniform_and_the_largest_is_no_single_time() -> None:
    drawn = build_timesteps(TimestepsConfig(name="exponential", a=-(2.0**-63)))(1000, torch.Generator().manual_seed(0))
    assert np.allclose(drawn, torch.rand(1000, generator=torch.Generator().manual_seed(0)), atol=1e-6)
    steep = build_timesteps(TimestepsConfig(name="exponential", a=2.0**24))(1000, torch.Generator().manual_seed(0))
    assert len(steep.unique()) > 1
