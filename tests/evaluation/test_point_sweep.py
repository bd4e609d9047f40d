"""The few-step table of points, with the exact field of a mixture in the place of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.mixture_field import MixtureField, Prediction

from pipeline.config.graph import Config
from pipeline.evaluation.point_sweep import FLOOR_REPEATS, draw_point_reference, measure_points, sweep_points
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.toys.distributions import TOYS

TOY = TOYS["bimodal_1d"]


class CountedField(MixtureField):
    calls = 0

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor | float) -> Prediction:
        self.calls += 1
        return super().forward(sample, timestep)


def test_every_solver_is_measured_also_one_that_chooses_its_steps(runtime: Runtime) -> None:
    params = composed("preset=toy_smoke", "evaluate.num_samples=1000")
    params["evaluate"]["student_solvers"] = [{"name": "dopri5", "rtol": 1e-4, "atol": 1e-4}, "euler"]
    evaluate = Config.model_validate(params).evaluate
    network = CountedField(TOY.mixture)
    rows, points = sweep_points(Sampler((1,), "exact", None, network, runtime), "flow", TOY, evaluate)

    adaptive, *fixed = rows
    assert (adaptive.solver, adaptive.num_steps) == ("dopri5-0.0001", None)
    assert adaptive.nfe == network.calls - (1 + 4)
    assert [(row.solver, row.num_steps, row.nfe) for row in fixed] == [("euler", 1, 1), ("euler", 4, 4)]
    assert points.keys() == {"dopri5-0.0001/adaptive", "euler/1", "euler/4"}
    assert all(values.shape == (1000, 1) for values in points.values())
    assert adaptive.sliced_wasserstein < 2 * adaptive.sliced_wasserstein_floor
    # The exact field points from x_0 to the mean of the data, so that one step ends there: √(E x_1²) away.
    assert fixed[0].sliced_wasserstein == pytest.approx((2**2 + 0.5**2) ** 0.5, rel=0.05)


def test_fresh_points_are_at_no_distance_from_themselves_and_at_the_floor_from_each_other() -> None:
    """In one dimension the distance of two draws is that of their sorted points; the floor is its mean."""
    reference = draw_point_reference(TOY, 500, seed=0)
    cell = {"model": "flow", "solver": "euler", "num_steps": 1, "nfe": 1, "seed": 0, "seconds": 0.5}
    row = measure_points(reference.points, reference, **cell)
    assert (row.sliced_wasserstein, row.energy_distance) == pytest.approx((0, 0), abs=1e-6)
    assert row.sliced_wasserstein_floor == reference.sliced_wasserstein_floor
    assert row.seconds_per_1000 == 1.0
    generator = torch.Generator().manual_seed(1)
    pairs = [np.sort(TOY.sample(500, generator).numpy()[:, 0]) for _ in range(2 * 20 * FLOOR_REPEATS)]
    distances = [np.sqrt(np.mean((x - y) ** 2)) for x, y in zip(pairs[::2], pairs[1::2], strict=True)]
    spread = np.std(distances) / FLOOR_REPEATS**0.5
    assert reference.sliced_wasserstein_floor == pytest.approx(float(np.mean(distances)), abs=3 * float(spread))
