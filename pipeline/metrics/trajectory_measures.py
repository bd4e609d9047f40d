"""Results of measuring a velocity field's trajectories."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.section import NonNegativeFloat, PositiveInt, Seed
from pipeline.system.typed_content import NO_OTHER_KEYS


@dataclass(frozen=True)
class TrajectoryMeasures:
    """Means over trajectories; all but the transport cost are 0 when every trajectory is straight.

    Attributes:
        straightness: S of Liu et al. 2022 (sec. 2.2): ∫ E‖(x_1 - x_0) - v(x_t, t)‖² dt.
        straightness_normalised: S divided by E‖mean velocity‖²; comparable between models. 0 where nothing moves.
        turning_radians: Total curvature ∫ κ ds of a trajectory: the angles between consecutive velocities, summed from
            start to end and extrapolated to infinitely many steps.
        transport_cost_per_dim: Mean of (x_1 - x_0)² over samples and dimensions.
        inversion_rmse: Root mean square difference of x_0 and the noise solved back from x_1 on the same grid.
        one_step_rmse: Root mean square difference of the images of one Euler step and of the whole grid, same noise.
    """

    __pydantic_config__ = NO_OTHER_KEYS

    straightness: NonNegativeFloat
    straightness_normalised: NonNegativeFloat
    turning_radians: NonNegativeFloat
    transport_cost_per_dim: NonNegativeFloat
    inversion_rmse: NonNegativeFloat
    one_step_rmse: NonNegativeFloat


@dataclass(frozen=True)
class TrajectoryRecord(TrajectoryMeasures):
    """Measures of a model's trajectories, and the settings they were taken with.

    Attributes:
        num_samples: Trajectories integrated.
        num_steps: Euler steps of each.
        seed: Seed of their noise.
    """

    num_samples: PositiveInt
    num_steps: PositiveInt
    seed: Seed
