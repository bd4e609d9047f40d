"""Intervals of Fréchet distances and of their ratios, by one method: the jackknife over disjoint parts.

The samples of a cell are divided, in order, into chunks, and each chunk into :data:`NUM_PARTS` parts; all samples are
independent of each other. What a distance would be without each part gives its standard error and its bias
(Quenouille 1956, Tukey 1958; for parts of unequal size Busing, Meijer & van der Leeden 1999), and with Student's t an
interval that holds the value of infinitely many repetitions in 95 of 100 cases. Parts of two cells that start from the
same noises belong together, so that what the noises have done to both cancels in the interval of their ratio.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from pipeline.metrics.moments import Moments, merge_moments

Distance = Callable[[Moments], float]
NUM_PARTS = 20
CONFIDENCE = 0.95

# With fewer, the bias has terms of higher order in 1/N that are as large, and intervals of what is left miss the
# distance of infinitely many samples.
_LEAST_SAMPLES_PER_FEATURE = 3


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Jackknifed:
    """A distance, averaged over chunks of samples, and what it is without each part.

    Attributes:
        value: Mean of the chunks' distances.
        deviations: What leaving out each part adds to its chunk's distance, less the chunk's mean of that, relative to
            ``value``: (num_chunks · NUM_PARTS,); of unequal parts so scaled that their squares add up to the same
            variance. Empty if there are too few samples.
        unbiased: ``value`` less the jackknife's estimate of its bias, which for a Fréchet distance is that of finitely
            many samples: an estimate of the distance of infinitely many. None if there are too few samples, fewer
            than three for each feature.
        num_chunks: Chunks averaged over.
    """

    value: float
    deviations: tuple[float, ...]
    unbiased: float | None
    num_chunks: int

    @property
    def estimate(self) -> Estimate | None:
        """The distance of as many samples as a chunk has."""
        return self._interval(self.value)

    @property
    def at_infinity(self) -> Estimate | None:
        """The distance of infinitely many samples; its standard error is that of ``value`` to first order."""
        return None if self.unbiased is None else self._interval(self.unbiased)

    def _interval(self, centre: float) -> Estimate | None:
        error = standard_error(self.deviations, self.num_chunks)
        if error is None:
            return None
        reach = _quantile(self.num_chunks) * error * abs(self.value)
        return Estimate(centre, centre - reach, centre + reach)


def jackknife(chunks: Sequence[Sequence[Moments]], distance: Distance) -> Jackknifed:
    """A distance of each chunk, averaged, with its jackknife.

    Args:
        chunks: Moments of disjoint parts of each chunk's samples, in order.
        distance: Moments of samples → distance, such as FID.
    """
    values, deviations, corrected, samples_per_feature = [], [], [], math.inf
    for parts in chunks:
        groups = _groups(parts)
        value = distance(merge_moments(parts))
        values.append(value)
        counts = np.array([group.count for group in groups])
        least = int(counts.sum() - counts.max())
        if len(groups) < NUM_PARTS or least <= groups[0].num_features:
            continue
        left_out = np.array([distance(merge_moments(groups[:at] + groups[at + 1 :])) for at in range(NUM_PARTS)])
        of_chunk, without_bias = _jackknifed(value, left_out, counts)
        deviations.append(of_chunk)
        corrected.append(without_bias)
        samples_per_feature = min(samples_per_feature, least / groups[0].num_features)
    mean = float(np.mean(values))
    if len(deviations) < len(values) or mean == 0:
        return Jackknifed(mean, (), None, len(values))
    relative = tuple(map(float, np.concatenate(deviations) / mean))
    enough = samples_per_feature >= _LEAST_SAMPLES_PER_FEATURE
    return Jackknifed(mean, relative, float(np.mean(corrected)) if enough else None, len(values))


def _jackknifed(value: float, left_out: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """Deviations of the parts, and the value less its bias (Busing et al. 1999, eq. 5 to 8).

    Args:
        value: Of all samples.
        left_out: Without each part, (parts,).
        counts: Samples of each part, (parts,).
    """
    num_parts, share = len(counts), counts / counts.sum()
    below_value = (1 / share - 1) * (left_out - value)  # of each part's pseudo-value
    bias = float((share * below_value).sum())
    return (below_value - bias) / np.sqrt((1 / share - 1) * (num_parts - 1)), value - bias


def standard_error(deviations: Sequence[float], num_chunks: int) -> float | None:
    """Standard error that deviations of a jackknife give, in their unit; None if there are none."""
    if not deviations:
        return None
    squares = float(np.square(np.asarray(deviations)).sum())
    return math.sqrt((NUM_PARTS - 1) / NUM_PARTS * squares) / num_chunks


def independent_ratio(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Ratio of two positive distances of independent samples; its interval is symmetric in the logarithm."""
    reaches = [(item.high - item.low) / 2 / item.value for item in (numerator, denominator)]
    return _around(numerator.value / denominator.value, math.hypot(*reaches))


def paired_ratio(
    numerator: float, denominator: float, above: Sequence[float], below: Sequence[float], num_chunks: int
) -> Estimate:
    """Ratio of two positive distances of samples from the same noises; its interval is symmetric in the logarithm.

    Args:
        numerator: Distance.
        denominator: Distance.
        above: Deviations of the numerator, from :class:`Jackknifed`, at least one.
        below: Those of the denominator, as many; parts at the same place are of the same noises.
        num_chunks: Chunks of either.
    """
    error = standard_error(np.subtract(above, below).tolist(), num_chunks) or 0.0
    return _around(numerator / denominator, _quantile(num_chunks) * error)


def _around(value: float, reach: float) -> Estimate:
    return Estimate(value, value * math.exp(-reach), value * math.exp(reach))


def _quantile(num_chunks: int) -> float:
    """Half-width of the interval in standard errors."""
    return float(student_t.ppf((1 + CONFIDENCE) / 2, num_chunks * (NUM_PARTS - 1)))


def _groups(parts: Sequence[Moments]) -> list[Moments]:
    """The parts, in order, merged into at most ``NUM_PARTS`` groups of about equal size."""
    edges = np.linspace(0, len(parts), min(NUM_PARTS, len(parts)) + 1).round().astype(int)
    return [merge_moments(parts[start:end]) for start, end in itertools.pairwise(edges)]
