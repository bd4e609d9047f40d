from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance as cleanfid_distance
from scipy.linalg import sqrtm

from pipeline.metrics import frechet
from pipeline.metrics.frechet import FrechetReference, frechet_distance, root_trace_by_scipy, root_trace_by_torch
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.system.errors import StraightflowError


def gaussian(mean: list[float], deviations: list[float], count: int = 10) -> Moments:
    return Moments(count, np.array(mean), np.diag(np.square(deviations)) * (count - 1))


def features(seed: int, count: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_diagonal_gaussians_have_a_closed_form() -> None:
    a, b = gaussian([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), gaussian([1.0, 1.0, 0.0], [2.0, 2.0, 1.0])
    # Σ (Δμ)² + Σ (σ_a - σ_b)²
    assert frechet_distance(a, b) == pytest.approx((1 + 0 + 4) + (1 + 0 + 4), abs=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("width", [6, 64])
def test_full_covariances_agree_with_independent_implementations(width: int) -> None:
    a, b = moments_of(features(0, 500, width)), moments_of(features(1, 400, width))
    root = sqrtm(a.covariance @ b.covariance).real
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)
    theirs = cleanfid_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)


def test_singular_covariances_are_measured_too() -> None:
    # Features within a plane of four dimensions: the distance is that of the plane's coordinates.
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 2)))[0]
    a, b = features(3, 50, 2), features(4, 60, 2)
    plane = frechet_distance(moments_of(a), moments_of(b))
    assert frechet_distance(moments_of(a @ basis.T), moments_of(b @ basis.T)) == pytest.approx(plane, rel=1e-6)


def test_merged_parts_are_the_whole_even_far_from_zero() -> None:
    whole = features(5, 101, 8) + 1e6
    parts = merge_moments(moments_of(part) for part in np.array_split(whole, 7))
    assert parts.count == 101
    assert np.allclose(parts.mean, whole.mean(axis=0), rtol=1e-12)
    assert np.allclose(parts.covariance, np.cov(whole, rowvar=False), rtol=1e-6)


def test_features_that_are_not_finite_and_single_images_are_refused() -> None:
    with pytest.raises(StraightflowError, match="1 of them not finite"):
        moments_of(np.array([[1.0, 2.0], [np.nan, 0.0], [1.0, 1.0]]))
    with pytest.raises(StraightflowError, match="at least two"):
        FrechetReference(moments_of(np.ones((1, 3))))


@pytest.mark.parametrize("block_bytes", [1, 16 * 5 * 7])
def test_blocks_of_features_have_the_moments_of_all_at_once(block_bytes: int) -> None:
    features = np.random.default_rng(9).normal(3, 1, size=(31, 5)).astype(np.float32)
    whole, blocks = moments_of(features), moments_of(features, block_bytes=block_bytes)
    exact = features.astype(np.float64)
    deviations = exact - exact.mean(axis=0)
    assert np.array_equal(whole.mean, exact.mean(axis=0))
    assert np.array_equal(whole.scatter, deviations.T @ deviations)
    assert blocks.count == whole.count
    assert np.allclose(blocks.mean, whole.mean, rtol=1e-13, atol=0)
    assert np.allclose(blocks.scatter, whole.scatter, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("width", "count"), [(6, 500), (64, 400), (40, 20)])
def test_eigenvalues_of_a_device_are_those_of_scipy(width: int, count: int) -> None:
    known, found = moments_of(features(3, count, width)), moments_of(features(4, count, width))
    factor = np.linalg.cholesky(known.covariance) if count > width else features(5, width, width)
    by_scipy = root_trace_by_scipy(factor, found.covariance)
    assert root_trace_by_torch(torch.from_numpy(factor), found.covariance) == pytest.approx(by_scipy, rel=1e-6)


@pytest.mark.parametrize(("width", "by_a_gpu"), [(300, "meta"), (6, "scipy")])
def test_a_device_with_doubles_computes_many_features_and_scipy_the_others(
    width: int, by_a_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, found = moments_of(features(0, 350, width)), moments_of(features(1, 350, width))
    used: list[str] = []
    monkeypatch.setattr(frechet, "root_trace_by_torch", lambda factor, _: (used.append(factor.device.type), 0.0)[1])
    monkeypatch.setattr(frechet, "root_trace_by_scipy", lambda *_: (used.append("scipy"), 0.0)[1])
    for device in ("cpu", "mps", "meta"):
        FrechetReference(known, torch.device(device)).distance(found)
    assert used == ["scipy", "scipy", by_a_gpu]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_differentiable_distance_of_one_feature_and_its_gradient_in_closed_form(seed: int) -> None:
    """(m - μ)² + (s - σ)² for standard deviations s and σ; by the variance v = s², d/dv = 1 - σ / s."""
    m, mu, s, sigma = np.random.default_rng(seed).uniform(0.5, 2, 4)
    reference = FrechetReference(Moments(2, np.array([mu]), np.array([[sigma**2]])))
    mean = torch.tensor([m], dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([[s**2]], dtype=torch.float64, requires_grad=True)
    distance = reference.differentiable_distance(mean, variance)
    assert float(distance.detach()) == pytest.approx((m - mu) ** 2 + (s - sigma) ** 2)
    distance.backward()
    assert float(mean.grad) == pytest.approx(2 * (m - mu))
    assert float(variance.grad) == pytest.approx(1 - sigma / s)


def test_the_differentiable_distance_of_two_features_and_its_gradient_in_closed_form() -> None:
    """By the covariance A it is I - T, with T A T = B: the optimal map from N(·, A) to N(·, B) (Takatsu 2011)."""
    generator = np.random.default_rng(0)
    a, b = (x @ x.T + 0.1 * np.eye(2) for x in generator.normal(size=(2, 2, 2)))
    mean = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    covariance = torch.tensor(a, requires_grad=True)
    distance = FrechetReference(Moments(2, np.zeros(2), b)).differentiable_distance(mean, covariance)
    # (Tr M^{1/2})² = Tr M + 2 (det M)^{1/2} of 2 × 2 matrices.
    root_trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    assert float(distance.detach()) == pytest.approx(0.13 + np.trace(a) + np.trace(b) - 2 * root_trace)
    distance.backward()
    transport = np.eye(2) - covariance.grad.numpy()
    np.testing.assert_allclose(transport @ a @ transport, b, atol=1e-12)
    np.testing.assert_allclose(mean.grad.numpy(), [0.6, -0.4])


def test_the_differentiable_distance_is_the_measured_one() -> None:
    features = np.random.default_rng(0).normal(size=(2, 200, 12))
    generated, data = moments_of(1.3 * features[0] + 0.1), moments_of(features[1])
    reference = FrechetReference(data)
    found = reference.differentiable_distance(torch.tensor(generated.mean), torch.tensor(generated.covariance))
    assert float(found) == pytest.approx(reference.distance(generated), rel=1e-12)


@pytest.mark.parametrize("varying", [0, 1, 2])
def test_directions_without_variance_have_a_finite_gradient(varying: int) -> None:
    covariance = torch.diag(torch.tensor([1.0] * varying + [0.0] * (3 - varying), dtype=torch.float64)).requires_grad_()
    reference = FrechetReference(Moments(2, np.zeros(3), np.eye(3)))
    distance = reference.differentiable_distance(torch.zeros(3, dtype=torch.float64), covariance)
    # 3 + varying - 2 · varying
    assert float(distance.detach()) == pytest.approx(3 - varying)
    distance.backward()
    np.testing.assert_allclose(np.diag(covariance.grad.numpy()), [0.0] * varying + [1.0] * (3 - varying), atol=1e-12)
