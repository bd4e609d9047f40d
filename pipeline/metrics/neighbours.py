"""Nearest-neighbour metrics: precision, recall, density, coverage, and distances to training images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.system.blocks import BLOCK_BYTES, row_blocks
from pipeline.system.errors import StraightflowError

_DOUBLE = 8


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


def neighbour_measures(
    generated: torch.Tensor, reference: torch.Tensor, k: int, *, block_bytes: int = BLOCK_BYTES
) -> NeighbourMeasures:
    """Measures of features (count, num_features) by balls that reach to the k-th neighbour in their own set.

    Counts bias all four, so compare at equal counts only. Distances are computed for blocks of features; how many there
    are in one changes them by the rounding of a product of matrices alone.

    Raises:
        StraightflowError: Unless both sets have more than ``k`` features.
    """
    require_neighbours(len(generated), len(reference), k)
    generated, reference = generated.double(), reference.double()
    reference_radii = _radii(reference, k, block_bytes)
    generated_radii = _radii(generated, k, block_bytes)
    balls_around_generated = torch.zeros(len(generated), dtype=torch.float64, device=generated.device)
    in_generated_ball, holds_generated = [], []
    for rows in row_blocks(len(reference), _distance_bytes(generated), block_bytes=block_bytes):
        distances = torch.cdist(reference[rows], generated)
        radii = reference_radii[rows]
        balls_around_generated += (distances < radii[:, None]).double().sum(dim=0)
        in_generated_ball.append((distances < generated_radii[None, :]).any(dim=1))
        holds_generated.append(distances.min(dim=1).values < radii)
    return NeighbourMeasures(
        precision=float((balls_around_generated > 0).double().mean()),
        recall=float(torch.cat(in_generated_ball).double().mean()),
        density=float(balls_around_generated.mean()) / k,
        coverage=float(torch.cat(holds_generated).double().mean()),
    )


def require_neighbours(num_generated: int, num_reference: int | None, k: int) -> None:
    """Raises StraightflowError unless every feature of both sets has a k-th neighbour besides itself.

    A reference whose images are not at hand (None) has no neighbours to look for.
    """
    if num_reference is not None and min(num_generated, num_reference) <= k:
        raise StraightflowError(
            expected=f"more than {k} images on either side, for balls that reach to the {k}-th neighbour",
            found=f"{num_generated} generated and {num_reference} of the reference",
            mend="lower evaluate.neighbours.k, or measure more images against a larger split",
        )


def nearest_distances(
    images: np.ndarray, training: np.ndarray, device: torch.device, *, block_bytes: int = BLOCK_BYTES
) -> torch.Tensor:
    """Euclidean distance in pixels of each image (num, …) to its nearest training image, float64, (num,).

    Args:
        images: uint8.
        training: uint8, (other num, …), the same image shape; may be memory-mapped.
        device: Where they are computed; one with float64. It changes no bit of the result.
        block_bytes: What is held of either at a time, and of their distances; changes no bit of the result.
    """
    image_bytes = _DOUBLE * math.prod(images.shape[1:])
    nearest = torch.full((len(images),), torch.inf, dtype=torch.float64, device=device)
    for some in row_blocks(len(images), 2 * image_bytes, block_bytes=block_bytes):
        flat, squares = _flat(images[some], device)
        # Beside a training image and its square: its distances to these images, and what they are computed from.
        for rows in row_blocks(len(training), 2 * image_bytes + 4 * _DOUBLE * len(flat), block_bytes=block_bytes):
            others, other_squares = _flat(training[rows], device)
            # ‖a‖² + ‖b‖² - 2 a·b is exact here: sums of squares of 8-bit values are integers far below 2^53.
            distances = squares[:, None] + other_squares - 2 * (flat @ others.T)
            nearest[some] = torch.minimum(nearest[some], distances.min(dim=1).values)
    return nearest.sqrt()


def _flat(images: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as rows in float64, and the sum of each row's squares."""
    rows = torch.from_numpy(images.copy()).to(device).double().flatten(1)  # a copy, as torch takes no read-only array
    return rows, rows.square().sum(dim=1)


def _radii(features: torch.Tensor, k: int, block_bytes: int) -> torch.Tensor:
    """Distance of every feature to its k-th neighbour, itself not counted."""
    blocks = row_blocks(len(features), _distance_bytes(features), block_bytes=block_bytes)
    return torch.cat([torch.cdist(features[rows], features).kthvalue(k + 1, dim=1).values for rows in blocks])


def _distance_bytes(others: torch.Tensor) -> int:
    """What the distances of one feature to ``others`` cost: themselves, a product on the way, and a comparison."""
    return 3 * _DOUBLE * len(others)
