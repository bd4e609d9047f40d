"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, eq. 6)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import LinAlgError, cholesky, eigh, eigvalsh

from pipeline.metrics.moments import Moments
from pipeline.system.device import double_device
from pipeline.system.errors import StraightflowError

CPU = torch.device("cpu")
_FEW = 256
"""Fewer features than these go to SciPy, as a GPU starts many small kernels for eigenvalues. The bound is a guess."""


class FrechetReference:
    """Fréchet distances to one reference set of features, whose covariance is factorised only once.

    Tr (Σ_a Σ_b)^{1/2} is the sum of the square roots of the eigenvalues of Σ_a Σ_b. With Σ_b = L Lᵀ these are the
    eigenvalues of Lᵀ Σ_a L, which is symmetric, so no matrix square root is needed, and rounding cannot make the
    result complex.

    Args:
        moments: Moments of the reference features.
        device: Where eigenvalues are computed, in float64: by SciPy on a CPU, of few features, and where a device has
            no float64, by torch on others.

    Raises:
        StraightflowError: If there are fewer than two features.
    """

    def __init__(self, moments: Moments, device: torch.device = CPU) -> None:
        self.moments = _at_least_two(moments)
        covariance = moments.covariance
        self._trace = float(np.trace(covariance))
        self._factor = _factor(covariance)
        there = double_device(device)
        self._factor_there, self._mean_there = (torch.from_numpy(x).to(there) for x in (self._factor, moments.mean))

    def distance(self, generated: Moments) -> float:
        """‖μ_a - μ_b‖² + Tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^{1/2}), ≥ 0."""
        covariance = _at_least_two(generated).covariance
        if self._factor_there.device.type == "cpu" or len(covariance) < _FEW:
            root_trace = root_trace_by_scipy(self._factor, covariance)
        else:
            root_trace = root_trace_by_torch(self._factor_there, covariance)
        offset = generated.mean - self.moments.mean
        # Rounding can take it below 0 where the two are equal; NumPy's maximum keeps NaN.
        return float(np.maximum(offset @ offset + np.trace(covariance) + self._trace - 2 * root_trace, 0))

    def differentiable_distance(self, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
        """The same by torch, with its gradient; not held at 0 where rounding takes it below.

        Directions in which both sets do not vary add nothing, and have no gradient: the root's is infinite there. On
        CUDA torch waits for the eigenvalues' error code.

        Args:
            mean: (num_features,), float64.
            covariance: (num_features, num_features), float64, symmetric. Both are where eigenvalues are computed.
        """
        eigenvalues = _eigenvalues(self._factor_there, covariance)
        rounding = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.detach()[-1]
        varies = eigenvalues.detach() > rounding
        root_trace = torch.where(varies, eigenvalues, 1.0).sqrt().where(varies, 0.0).sum()
        offset = mean - self._mean_there
        return offset @ offset + covariance.trace() + self._trace - 2 * root_trace


def frechet_distance(a: Moments, b: Moments) -> float:
    """Fréchet distance of two sets of features, symmetric."""
    return FrechetReference(b).distance(a)


def root_trace_by_scipy(factor: np.ndarray, covariance: np.ndarray) -> float:
    """Tr (Lᵀ Σ L)^{1/2} from L and Σ, both (num_features, num_features)."""
    eigenvalues = eigvalsh(factor.T @ covariance @ factor, overwrite_a=True, check_finite=False)
    return float(np.sqrt(eigenvalues.clip(min=0)).sum())


def root_trace_by_torch(factor: torch.Tensor, covariance: np.ndarray) -> float:
    """The same on the device of L."""
    return float(_eigenvalues(factor, torch.from_numpy(covariance).to(factor)).clamp(min=0).sqrt().sum())


def _eigenvalues(factor: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Of Lᵀ Σ L, rising, (num_features,)."""
    eigenvalues: torch.Tensor = torch.linalg.eigvalsh(factor.T @ covariance @ factor)
    return eigenvalues


def _factor(covariance: np.ndarray) -> np.ndarray:
    """L with L Lᵀ = ``covariance``, which is positive semidefinite: Cholesky's, or from eigenvectors if singular."""
    try:
        factor: np.ndarray = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:
        eigenvalues, vectors = eigh(covariance, check_finite=False)
        factor = vectors * np.sqrt(eigenvalues.clip(min=0))
    return factor


def _at_least_two(moments: Moments) -> Moments:
    if moments.count < 2:
        raise StraightflowError(
            expected="features of at least two images", found=str(moments.count), mend="measure more images"
        )
    return moments
