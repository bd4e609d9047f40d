"""Distances of the same images' features by our implementation and by those of other packages.

    python -m benchmarks.distances                                 # digits, in seconds
    python -m benchmarks.distances --features 256 --samples 1797   # more of them, a minute

Prints the Fréchet distance, KID, precision and recall of noised digits against digits, by an untrained network's
features, ours and each package's, and their largest relative difference, at most 0.5 %. For KID other packages get
features divided by the reference's standard deviations, as ours divides them itself.

clean-fid is a dependency of the pipeline. torch-fidelity and pytorch-fid go aside, where they change nothing:

    python -m pip install --no-deps --target aside torch-fidelity pytorch-fid
    PYTHONPATH=aside python -m benchmarks.distances
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipeline.data.pixels import to_float
from pipeline.metrics.feature_networks import NetworkDescription
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kernel_distance import KernelReference, kernel_distance
from pipeline.metrics.moments import moments_of
from pipeline.metrics.neighbours import neighbour_measures
from pipeline.system.random_state import seeded

LIMIT = 0.005
NUM_NEIGHBOURS = 3


@dataclass(frozen=True)
class Features:
    """Features (count, num_features), float64, of as many generated as reference images."""

    generated: np.ndarray
    reference: np.ndarray

    def divided(self) -> Features:
        """In units of the reference's standard deviations."""
        deviations = self.reference.std(axis=0, ddof=1)
        return Features(self.generated / deviations, self.reference / deviations)


@dataclass(frozen=True)
class Comparison:
    """One metric by us and by another package."""

    metric: str
    package: str
    ours: float
    theirs: float

    @property
    def difference(self) -> float:
        """Relative to theirs."""
        return abs(self.ours - self.theirs) / abs(self.theirs)


Measured = Mapping[str, float]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=64, help="features per image (default: 64)")
    parser.add_argument("--samples", type=int, default=1000, help="images on either side, at most 1797 (default: 1000)")
    options = parser.parse_args()
    print(report(*compare(features_of_digits(options.samples, options.features))))


def features_of_digits(num_samples: int, num_features: int) -> Features:
    """Features of the first digits, and of the same with noise of a fifth of the range of a pixel."""
    images = np.rint(load_digits().images[:num_samples, None] * 255 / 16).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 51, images.shape)
    noised = (images + noise).round().clip(0, 255).astype(np.uint8)
    with seeded(0), torch.inference_mode():
        network = NetworkDescription("classifier", "flat", (1, 8, 8), num_features, 10).build().eval()
        generated, reference = (
            network.features(to_float(torch.from_numpy(part))).double().numpy() for part in (noised, images)
        )
    return Features(generated, reference)


def compare(features: Features) -> tuple[list[Comparison], list[str]]:
    """Each metric by each package that is installed, and the packages that are not."""
    found, missing, own = [], [], by_us(features)
    for package, measure in PACKAGES.items():
        try:
            theirs = measure(features)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != package.replace("-", "_"):
                raise
            missing.append(package)
            continue
        found += [Comparison(metric, package, own[metric], value) for metric, value in theirs.items()]
    return found, missing


def report(found: list[Comparison], missing: list[str]) -> str:
    """The comparisons as lines of text."""
    lines = [
        f"{item.metric} of {item.package}: {item.theirs:.9g}, ours {item.ours:.9g}, apart by {item.difference:.1e}"
        for item in found
    ]
    largest = max(item.difference for item in found)
    lines.append(f"largest relative difference: {largest:.1e}, at most {LIMIT:.1e}")
    lines += [
        f"{package} is not installed: python -m pip install --no-deps --target aside {package}, then PYTHONPATH=aside"
        for package in missing
    ]
    return "\n".join(lines)


def by_us(features: Features) -> Measured:
    """All metrics by the pipeline."""
    generated, reference = (torch.from_numpy(part) for part in (features.generated, features.reference))
    neighbours = neighbour_measures(generated, reference, NUM_NEIGHBOURS)
    return {
        "Fréchet distance": frechet_distance(moments_of(features.generated), moments_of(features.reference)),
        "KID": kernel_distance(generated, KernelReference.of(reference)).value,
        "precision": neighbours.precision,
        "recall": neighbours.recall,
    }


def by_clean_fid(features: Features) -> Measured:
    """Fréchet distance and KID; it has no precision."""
    fid = importlib.import_module("cleanfid.fid")
    divided, count = features.divided(), len(features.generated)
    kid = fid.kernel_distance(divided.generated, divided.reference, num_subsets=1, max_subset_size=count)
    return {"Fréchet distance": float(fid.frechet_distance(*_moments(features))), "KID": float(kid)}


def by_torch_fidelity(features: Features) -> Measured:
    """All metrics; one subset of all features leaves nothing to chance."""
    fid, kid, prc = (importlib.import_module(f"torch_fidelity.metric_{name}") for name in ("fid", "kid", "prc"))
    divided = features.divided()
    frechet = fid.fid_statistics_to_metric(
        *(fid.fid_features_to_statistics(part) for part in _tensors(features)), False
    )
    kernel = kid.kid_features_to_metric(
        *_tensors(divided), kid_subsets=1, kid_subset_size=len(divided.generated), verbose=False
    )
    neighbours = prc.prc_features_to_metric(*_tensors(features), prc_neighborhood=NUM_NEIGHBOURS, verbose=False)
    return {
        "Fréchet distance": frechet[fid.KEY_METRIC_FID],
        "KID": kernel[kid.KEY_METRIC_KID_MEAN],
        "precision": float(neighbours[prc.KEY_METRIC_PRECISION]),
        "recall": float(neighbours[prc.KEY_METRIC_RECALL]),
    }


def by_pytorch_fid(features: Features) -> Measured:
    """Fréchet distance alone."""
    score = importlib.import_module("pytorch_fid.fid_score")
    return {"Fréchet distance": float(score.calculate_frechet_distance(*_moments(features)))}


PACKAGES: dict[str, Callable[[Features], Measured]] = {
    "clean-fid": by_clean_fid,
    "torch-fidelity": by_torch_fidelity,
    "pytorch-fid": by_pytorch_fid,
}


def _tensors(features: Features) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(features.generated), torch.from_numpy(features.reference)


def _moments(features: Features) -> list[Any]:
    """Mean and covariance of either side by numpy."""
    parts = (features.generated, features.reference)
    return [moment for part in parts for moment in (part.mean(axis=0), np.cov(part, rowvar=False))]


if __name__ == "__main__":
    main()
