"""Kernel distance (KID) between two sets of features (Bińkowski et al. 2018), with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from pipeline.metrics.uncertainty import NUM_PARTS
from pipeline.system.blocks import BLOCK_BYTES, row_blocks
from pipeline.system.errors import StraightflowError

LEAST_SAMPLES = 3
_DOUBLE = 8
_MATRICES = 2  # products, and their powers or factors


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


@dataclass(frozen=True)
class KernelReference:
    """Features that others are compared with, and the sums over them, computed once for all that are.

    Attributes:
        scaled: Those that vary, divided by their standard deviations, (count, number of them), float64.
        deviations: The standard deviations, (number of them,), float64.
        varying: Which features vary, (num_features,), bool.
        block_bytes: What is held beside features; blocks change sums by rounding.
    """

    scaled: torch.Tensor
    deviations: torch.Tensor
    varying: torch.Tensor
    block_bytes: int

    @staticmethod
    def of(features: torch.Tensor, *, block_bytes: int = BLOCK_BYTES) -> KernelReference:
        """The reference of features (count, num_features), count ≥ 2, finite.

        Raises:
            StraightflowError: If there are fewer, or none of them varies.
        """
        if len(features) < 2:
            raise StraightflowError(
                expected="at least two images of the reference, for a kernel distance",
                found=str(len(features)),
                mend="measure against a larger split",
            )
        features = features.double()
        varying = features.amax(dim=0) > features.amin(dim=0)  # a computed deviation of equal numbers need not be 0
        if not bool(varying.any()):
            raise StraightflowError(
                expected="features that vary over the reference",
                found=f"{len(varying)} that are all constant",
                mend="check the reference's images and the features' network",
            )
        deviations = features.std(dim=0)[varying]
        return KernelReference(features[:, varying] / deviations, deviations, varying, block_bytes)

    @cached_property
    def third_moments(self) -> torch.Tensor:
        """As :func:`_third_moments` has them."""
        return _third_moments(self.scaled, self.block_bytes)

    @cached_property
    def sum_over_pairs(self) -> torch.Tensor:
        """Of the kernel, over all pairs of its own."""
        return _sum_over_pairs(self.scaled, self.scaled, self.block_bytes)


def kernel_distance(generated: torch.Tensor, reference: KernelReference) -> KernelDistance:
    """Unbiased squared MMD of features divided by the reference's standard deviations, from all pairs.

    Without that division features of large scale decide alone: the kernel (x·y / num_features + 1)³ was made for
    Inception's, which are all of one scale. Implementations that do not divide agree on features divided beforehand.

    Args:
        generated: Features (count, num_features), count ≥ 3, finite, on the reference's device.
        reference: What they are compared with.

    Raises:
        StraightflowError: If there are fewer.
    """
    if len(generated) < LEAST_SAMPLES:
        raise StraightflowError(
            expected=f"at least {LEAST_SAMPLES} generated images, for a kernel distance",
            found=str(len(generated)),
            mend="measure more images",
        )
    x = generated.double()[:, reference.varying] / reference.deviations
    parts = torch.tensor_split(x, min(NUM_PARTS, len(x)))
    sets = [*parts, reference.scaled]
    sums = _kernel_sums(parts, reference).cpu()
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
        num_constant_features=int((~reference.varying).sum()),
    )


def _unbiased_mmd(sums: torch.Tensor, diagonals: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Squared MMD without pairs of a feature with itself; the last set is the reference, all before it generated."""
    num_generated, num_reference = counts[:-1].sum(), counts[-1]
    within_generated = (sums[:-1, :-1].sum() - diagonals[:-1].sum()) / (num_generated * (num_generated - 1))
    within_reference = (sums[-1, -1] - diagonals[-1]) / (num_reference * (num_reference - 1))
    return within_generated + within_reference - 2 * sums[:-1, -1].sum() / (num_generated * num_reference)


def _kernel_sums(parts: Sequence[torch.Tensor], reference: KernelReference) -> torch.Tensor:
    """Sums of the kernel over all pairs of a feature of one set and one of another, (num_sets, num_sets), float64.

    The sets are the parts and, last, the reference. With many features of few dimensions their moments cost less than
    their pairs.
    """
    sets = [*parts, reference.scaled]
    num_features, count = reference.scaled.shape[1], sum(len(values) for values in sets)
    num_moments = num_features**2 * (num_features + 1) // 2
    if num_features * (num_features + 1) <= count and len(sets) * num_moments * _DOUBLE <= reference.block_bytes:
        of_parts = [_third_moments(values, reference.block_bytes) for values in parts]
        moments = torch.stack([*of_parts, reference.third_moments])
        return moments @ moments.T
    sums = reference.scaled.new_zeros(len(sets), len(sets))
    sums[-1, -1] = reference.sum_over_pairs
    for row, values in enumerate(sets):
        for column, others in enumerate(sets[: min(row + 1, len(parts))]):
            sums[row, column] = sums[column, row] = _sum_over_pairs(values, others, reference.block_bytes)
    return sums


def _sum_over_pairs(x: torch.Tensor, y: torch.Tensor, block_bytes: int) -> torch.Tensor:
    blocks = row_blocks(len(x), _MATRICES * _DOUBLE * len(y), block_bytes=block_bytes)
    return torch.stack([_kernel(x[rows] @ y.T, x.shape[1]).sum() for rows in blocks]).sum()


def _third_moments(x: torch.Tensor, block_bytes: int) -> torch.Tensor:
    """Σ φ(x) with φ(x)·φ(y) = (x·y / d + 1)³: the moments of order 0 to 3, each weighted by its binomial's root.

    Of the products x_i x_j only those with i ≤ j are kept; those with i < j count twice.
    """
    num_features = x.shape[1]
    first, second = torch.triu_indices(num_features, num_features, device=x.device)
    weights = (1 + (first < second).to(x.dtype)).sqrt()
    squares, cubes = x.new_zeros(len(first)), x.new_zeros(len(first), num_features)
    for rows in row_blocks(len(x), _MATRICES * _DOUBLE * len(first), block_bytes=block_bytes):
        products = x[rows, first] * x[rows, second]
        squares += products.sum(dim=0)
        cubes += products.T @ x[rows]
    orders = (x.new_full((1,), len(x)), x.sum(dim=0), weights * squares, (weights[:, None] * cubes).flatten())
    roots = (math.sqrt(math.comb(3, order) / num_features**order) for order in range(4))
    return torch.cat([root * moments for root, moments in zip(roots, orders, strict=True)])


def _kernel(products: torch.Tensor, num_features: int) -> torch.Tensor:
    """(x·y / num_features + 1)³ from x·y."""
    shifted = products / num_features + 1
    return shifted * shifted * shifted
