"""Nearest-neighbour metrics: precision, recall, density, coverage, and distances to training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class NeighbourMeasures:
    """Fidelity and diversity; all about 1 when both sets are alike.

    A ball is centred at a feature and reaches to its k-th neighbour in its own set.

    Attributes:
        precision: Share of generated features inside some reference ball, in [0, 1] (Kynkäänniemi et al. 2019).
        recall: Share of reference features inside some generated ball, in [0, 1] (Kynkäänniemi et al. 2019).
        density: Mean number of reference balls around a generated feature, over k, ≥ 0 (Naeem et al. 2020, eq. 4).
        coverage: Share of reference balls that hold a generated feature, in [0, 1] (Naeem et al. 2020, eq. 5).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_measures(generated: torch.Tensor, reference: torch.Tensor, k: int) -> NeighbourMeasures:
    """Precision, recall, density and coverage of features (count, num_features).

    Balls reach to the ``k``-th neighbour. All four measures depend on the counts, so compare at equal counts only.

    Raises:
        StraightflowError: Unless both sets have more than ``k`` features.
    """
    require_neighbours(len(generated), len(reference), k)
    generated, reference = generated.double(), reference.double()
    reference_radii = _radii(reference, k)
    generated_radii = _radii(generated, k)
    distances = torch.cdist(reference, generated)
    inside_reference = distances < reference_radii[:, None]
    inside_generated = distances < generated_radii[None, :]
    return NeighbourMeasures(
        precision=float(inside_reference.any(dim=0).double().mean()),
        recall=float(inside_generated.any(dim=1).double().mean()),
        density=float(inside_reference.double().sum(dim=0).mean()) / k,
        coverage=float((distances.min(dim=1).values < reference_radii).double().mean()),
    )


def require_neighbours(num_generated: int, num_reference: int, k: int) -> None:
    """Raises StraightflowError unless every feature of both sets has a k-th neighbour besides itself."""
    if min(num_generated, num_reference) <= k:
        raise StraightflowError(
            expected=f"more than {k} images on either side, for balls that reach to the {k}-th neighbour",
            found=f"{num_generated} generated and {num_reference} of the reference",
            mend="lower evaluate.neighbours.k, or measure more images against a larger split",
        )


def nearest_distances(images: np.ndarray, training: np.ndarray, *, chunk: int = 10_000) -> torch.Tensor:
    """Euclidean distance in pixels of each image (num, …) to its nearest training image, float64, (num,).

    Args:
        images: uint8.
        training: uint8, (other num, …), the same image shape; may be memory-mapped.
        chunk: Training images read and compared at a time.
    """
    # ‖a‖² + ‖b‖² - 2 a·b is exact here: sums of squares of 8-bit values are integers far below 2^53.
    flat = _flat(images)
    squares = flat.square().sum(dim=1)
    nearest = torch.full((len(flat),), torch.inf, dtype=torch.float64)
    for start in range(0, len(training), chunk):
        others = _flat(training[start : start + chunk])
        distances = squares[:, None] + others.square().sum(dim=1) - 2 * flat @ others.T
        nearest = torch.minimum(nearest, distances.min(dim=1).values)
    return nearest.sqrt()


def _flat(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float64)).flatten(1)


def _radii(features: torch.Tensor, k: int) -> torch.Tensor:
    """Distance of every feature to its k-th neighbour, itself not counted."""
    return torch.cdist(features, features).kthvalue(k + 1, dim=1).values
