"""Measures points: distances to fresh points, geometry of trajectories, and error of the velocity field."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object

from pipeline.config.graph import Config, learns_mean_velocity
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.point_sweep import draw_point_reference, measure_points, sweep_points
from pipeline.evaluation.trajectories import measure_model_trajectories
from pipeline.flow.noise import stream_key
from pipeline.flow.solvers import euler
from pipeline.metrics.field_error import field_error
from pipeline.metrics.field_measures import FieldMeasures
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import COUPLINGS_PREFIX
from pipeline.models.sampler import Sampler
from pipeline.system.compute import total
from pipeline.toys.distributions import TOYS, Toy

DRAWN_TRAJECTORIES, DRAWN_STEPS, FIELD_POINTS = 2000, 50, 61
FIELD_SAMPLES, LIKELIHOODS = 20_000, 256


@dataclass(frozen=True)
class PointMeasure:
    """The measure of points, see :class:`pipeline.evaluation.measure.Measure`.

    Attributes:
        config: Configuration of the run: the distribution of its points, and what each model learns.
    """

    config: Config

    @property
    def toy(self) -> Toy:
        """The distribution that the models should generate."""
        return TOYS[self.config.data.source]

    def couplings_rows(self, name: str, store: CouplingStore, source: Sampler) -> tuple[PointRow, ...]:
        """The only row of a store's points, measured in the same way as a model's."""
        del source
        settings, solver = self.config.evaluate, store.manifest.solver
        points = store.x_1(np.arange(min(len(store), settings.num_samples))).numpy()
        row = measure_points(
            points,
            draw_point_reference(self.toy, len(points), settings.seed),
            model=f"{COUPLINGS_PREFIX}{name}",
            solver=solver.label,
            num_steps=solver.num_steps,
            nfe=None,
            seed=store.manifest.seed,
            seconds=None,
        )
        return (row,)

    def evaluate(self, sampler: Sampler, model: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Rows, trajectories, and ``field_error``, which is None if the model's target has no closed form.

        The arrays are the points of each cell, ``times`` (T,), ``trajectories`` (num, T, dim) and, in one dimension,
        ``field`` (T, FIELD_POINTS) at ``positions``.
        """
        calls_before, began = sampler.calls.copy(), time.monotonic()
        settings = self.config.evaluate
        rows, arrays = sweep_points(sampler, model, self.toy, settings)
        trajectories = measure_model_trajectories(sampler, settings)
        num_drawn = min(DRAWN_TRAJECTORIES, settings.num_samples)
        arrays |= _drawn(sampler, self.toy, sampler.draw(stream_key("evaluation", settings.seed), range(num_drawn))[0])
        error = self._field_error(sampler, model)
        own_compute = sampler.compute(calls_before, time.monotonic() - began)
        content = {
            "model": model,
            "rows": [asdict(row) for row in rows],
            "trajectories": asdict(trajectories),
            "field_error": None if error is None else asdict(error),
            "compute": asdict(total(gather_object([own_compute]))),
        }
        return content, arrays

    def _field_error(self, sampler: Sampler, model: str) -> FieldMeasures | None:
        if self.toy.mixture is None or not learns_mean_velocity(self.config, model):
            return None
        return field_error(
            sampler.velocity_field(), self.toy.mixture, sampler.noise,
            num_samples=FIELD_SAMPLES, num_likelihoods=LIKELIHOODS, seed=self.config.evaluate.seed,
            device=sampler.runtime.device,
        )  # fmt: skip


@torch.inference_mode()
def _drawn(sampler: Sampler, toy: Toy, x_0: torch.Tensor) -> dict[str, np.ndarray]:
    """Trajectories from ``x_0`` (num, dim), and in one dimension the velocity field, as arrays for figures."""
    device, field = sampler.runtime.device, sampler.velocity_field()
    times = np.linspace(*sampler.time_range(), DRAWN_STEPS + 1, dtype=np.float32)
    states = [x_0.to(device)]
    for start, end in itertools.pairwise(times.tolist()):
        states.append(euler(field, states[-1], (start, end)).x)
    arrays = {"times": times, "trajectories": torch.stack(states, dim=1).float().cpu().numpy()}
    if toy.dim == 1:
        positions = torch.linspace(*toy.extent, FIELD_POINTS, device=device)
        values = [field(positions[:, None], positions.new_full((FIELD_POINTS,), t))[:, 0] for t in times.tolist()]
        arrays |= {"positions": positions.cpu().numpy(), "field": torch.stack(values).float().cpu().numpy()}
    return arrays
