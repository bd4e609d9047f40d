"""Uncertainty of an FID: its standard error, and its extrapolation to infinitely many samples.

Both use the moments of disjoint parts of one set of samples, so they need no further images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.metrics.moments import Moments, merge_moments

Distance = Callable[[Moments], float]
NUM_GROUPS = 10
INFINITY_GROUPS = (5, 6, 7, 8, 9, 10)


def jackknife_std(parts: Sequence[Moments], distance: Distance) -> float:
    """Standard error of ``distance`` over all samples, by the delete-a-tenth jackknife (Quenouille, Tukey).

    Args:
        parts: Moments of disjoint sets of samples, at least ``NUM_GROUPS`` of them.
        distance: Moments of samples → distance, such as FID.
    """
    groups = _groups(parts)
    left_out = np.array(
        [distance(merge_moments(groups[:at] + groups[at + 1 :])) for at in range(len(groups))], dtype=np.float64
    )
    return math.sqrt((len(groups) - 1) / len(groups) * float(np.square(left_out - left_out.mean()).sum()))


def distance_at_infinity(parts: Sequence[Moments], distance: Distance) -> float | None:
    """``distance`` extrapolated to infinitely many samples: the intercept of a line fitted against 1/N.

    Chong & Forsyth 2020 (sec. 4): the bias of FID is linear in 1/N. N goes from half of the samples to all of them;
    every N but the last is measured twice, on the first and on the last N samples.

    Returns:
        None if half of the samples are fewer than the features, where the bias is not linear in 1/N.
    """
    groups = _groups(parts)
    if sum(part.count for part in parts) < 2 * parts[0].num_features:
        return None
    points = []
    for size in INFINITY_GROUPS:
        for chosen in (groups[:size], groups[len(groups) - size :]):
            moments = merge_moments(chosen)
            points.append((1 / moments.count, distance(moments)))
            if size == len(groups):
                break
    inverse_counts, distances = np.array(points).T
    slope_and_intercept = np.polyfit(inverse_counts, distances, deg=1)
    return float(slope_and_intercept[1])


def _groups(parts: Sequence[Moments]) -> list[Moments]:
    """The parts, in order, merged into ``NUM_GROUPS`` groups of about equal size."""
    edges = np.linspace(0, len(parts), NUM_GROUPS + 1).round().astype(int)
    return [merge_moments(parts[start:end]) for start, end in itertools.pairwise(edges)]
