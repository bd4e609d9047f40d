"""Kernel distance (KID) between two sets of features (Bińkowski et al. 2018), with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.metrics.uncertainty import NUM_PARTS
from pipeline.system.blocks import BLOCK_BYTES, row_blocks
from pipeline.system.errors import StraightflowError

LEAST_SAMPLES = 3
_DOUBLE = 8
_MATRICES = 2  # products, and their powers


@dataclass(frozen=True)
class KernelDistance:
    """An estimate of the kernel distance.

    Attributes:
        value: Unbiased squared MMD: 0 in expectation when both sets come from one distribution, so it can be negative.
        standard_error: Of ``value`` over generated samples, the reference held fixed, by the delete-a-part jackknife.
        num_samples: Generated features that it was computed from.
        num_constant_features: Features left out, as the reference's do not vary.
    """

    value: float
    standard_error: float
    num_samples: int
    num_constant_features: int


def kernel_distance(
    generated: torch.Tensor, reference: torch.Tensor, *, block_bytes: int = BLOCK_BYTES
) -> KernelDistance:
    """Unbiased squared MMD of features divided by the reference's standard deviations, from all pairs.

    Without that division features of large scale decide alone: the kernel (x·y / num_features + 1)³ was made for
    Inception's, which are all of one scale. Implementations that do not divide agree on features divided beforehand.

    Args:
        generated: Features (count, num_features), count ≥ 3, finite.
        reference: Features (count, num_features), count ≥ 2, finite, on the same device.
        block_bytes: What is held beside the features; blocks change sums by rounding.

    Raises:
        StraightflowError: If there are fewer features, or none of the reference's varies.
    """
    if len(generated) < LEAST_SAMPLES or len(reference) < 2:
        raise StraightflowError(
            expected=f"at least {LEAST_SAMPLES} generated images and two of the reference, for a kernel distance",
            found=f"{len(generated)} and {len(reference)}",
            mend="measure more images against a larger split",
        )
    deviations = reference.double().std(dim=0)
    varying = reference.amax(dim=0) > reference.amin(dim=0)  # a computed deviation of equal numbers need not be 0
    if not bool(varying.any()):
        raise StraightflowError(
            expected="features that vary over the reference",
            found=f"{len(deviations)} that are all constant",
            mend="check the reference's images and the features' network",
        )
    x, y = (features.double()[:, varying] / deviations[varying] for features in (generated, reference))
    parts = torch.tensor_split(x, min(NUM_PARTS, len(x)))
    sets = [*parts, y]
    sums = _kernel_sums(sets, block_bytes).cpu()
    diagonals = torch.stack([_kernel(values.square().sum(dim=1), x.shape[1]).sum() for values in sets]).cpu()
    counts = torch.tensor([len(values) for values in sets], dtype=torch.float64)
    value = _unbiased_mmd(sums, diagonals, counts)
    others = [[other for other in range(len(sets)) if other != part] for part in range(len(parts))]
    left_out = torch.stack([_unbiased_mmd(sums[kept][:, kept], diagonals[kept], counts[kept]) for kept in others])
    variance = (len(parts) - 1) / len(parts) * (left_out - left_out.mean()).square().sum()
    return KernelDistance(
        value=float(value),
        standard_error=math.sqrt(float(variance)),
        num_samples=len(generated),
        num_constant_features=int((~varying).sum()),
    )


def _unbiased_mmd(sums: torch.Tensor, diagonals: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Squared MMD without pairs of a feature with itself; the last set is the reference, all before it generated."""
    num_generated, num_reference = counts[:-1].sum(), counts[-1]
    within_generated = (sums[:-1, :-1].sum() - diagonals[:-1].sum()) / (num_generated * (num_generated - 1))
    within_reference = (sums[-1, -1] - diagonals[-1]) / (num_reference * (num_reference - 1))
    return within_generated + within_reference - 2 * sums[:-1, -1].sum() / (num_generated * num_reference)


def _kernel_sums(sets: Sequence[torch.Tensor], block_bytes: int) -> torch.Tensor:
    """Sums of the kernel over all pairs of a feature of one set and one of another, (len(sets), len(sets)), float64.

    With many features of few dimensions their moments cost less than their pairs.
    """
    num_features, count = sets[0].shape[1], sum(len(values) for values in sets)
    num_moments = num_features**2 * (num_features + 1) // 2
    if num_features * (num_features + 1) <= count and len(sets) * num_moments * _DOUBLE <= block_bytes:
        moments = torch.stack([_third_moments(values) for values in sets])
        return moments @ moments.T
    sums = sets[0].new_zeros(len(sets), len(sets))
    for row, values in enumerate(sets):
        for column, others in enumerate(sets[: row + 1]):
            sums[row, column] = sums[column, row] = _sum_over_pairs(values, others, block_bytes)
    return sums


def _sum_over_pairs(x: torch.Tensor, y: torch.Tensor, block_bytes: int) -> torch.Tensor:
    blocks = row_blocks(len(x), _MATRICES * _DOUBLE * len(y), block_bytes=block_bytes)
    return torch.stack([_kernel(x[rows] @ y.T, x.shape[1]).sum() for rows in blocks]).sum()


def _third_moments(x: torch.Tensor) -> torch.Tensor:
    """Σ φ(x) with φ(x)·φ(y) = (x·y / d + 1)³: the moments of order 0 to 3, each weighted by its binomial's root.

    Of the products x_i x_j only those with i ≤ j are kept; those with i < j count twice.
    """
    num_features = x.shape[1]
    squares, cubes = [], []
    for index in range(num_features):
        products = x[:, index:] * x[:, index : index + 1]
        weights = products.new_full((products.shape[1],), math.sqrt(2))
        weights[0] = 1
        squares.append(weights * products.sum(dim=0))
        cubes.append(weights[:, None] * (products.T @ x))
    orders = (x.new_full((1,), len(x)), x.sum(dim=0), torch.cat(squares), torch.cat(cubes).flatten())
    roots = (math.sqrt(math.comb(3, order) / num_features**order) for order in range(4))
    return torch.cat([root * moments for root, moments in zip(roots, orders, strict=True)])


def _kernel(products: torch.Tensor, num_features: int) -> torch.Tensor:
    """(x·y / num_features + 1)³ from x·y."""
    shifted = products / num_features + 1
    return shifted * shifted * shifted
