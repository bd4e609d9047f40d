"""Mean and covariance of features from a file, as pytorch-fid, clean-fid and ADM publish them for a benchmark."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from pipeline.config.features import ReferenceFileConfig
from pipeline.metrics.moments import Moments
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.whole_files import require_file

_ASYMMETRY = 1e-6
"""Largest difference between entries and their mirror images, as a share of the largest entry: rounding is less."""


def read_statistics(config: ReferenceFileConfig, num_features: int) -> Moments:
    """The statistics as moments, whose covariance is the file's; their ``count`` says nothing.

    Nothing is unpickled, and other arrays of the file, such as ADM's images, are not read.

    Args:
        config: The file and its hash.
        num_features: Dimension of the features that they are to be compared with.

    Raises:
        StraightflowError: If it is missing, another file than the one with this hash, or holds no mean and covariance
            of so many features.
    """
    path = Path(config.file)
    try:
        require_file(path)
        found = fingerprint_file(path)
    except OSError as error:
        raise _refused(path, "a file of statistics", one_line(error), "correct its path") from error
    if found != config.sha256:
        raise _refused(
            path,
            f"the file with the SHA-256 {config.sha256}",
            found,
            "name the file with this hash, or correct the hash after making sure that the file is the one you mean",
        )
    try:
        mean, covariance = _read(path)
        _require_statistics(mean, covariance, num_features)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused(
            path,
            f"mu, ({num_features},), and sigma, ({num_features}, {num_features}), of inception's features",
            one_line(error),
            "name statistics of the network and the mode that features.name and features.inception.mode say",
        ) from error
    covariance = (covariance + covariance.T) / 2
    # A covariance is scatter / (count - 1): with two it is the scatter.
    return Moments(2, mean, covariance)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    opened = np.load(path, allow_pickle=False)
    if not isinstance(opened, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with opened:
        absent = [name for name in ("mu", "sigma") if name not in opened]
        if absent:
            raise ValueError(f"no {' and no '.join(absent)}, among {', '.join(opened.files)[:80] or 'no arrays'}")
        return opened["mu"], opened["sigma"]


def _require_statistics(mean: np.ndarray, covariance: np.ndarray, num_features: int) -> None:
    """ValueError unless these are a mean and a covariance of ``num_features`` features."""
    for name, values, shape in (("mu", mean, (num_features,)), ("sigma", covariance, (num_features, num_features))):
        if values.shape != shape:
            raise ValueError(f"{name} of shape {values.shape}")
        if values.dtype != np.float64:
            raise ValueError(f"{name} of {values.dtype}, and not float64")
        if not np.isfinite(values).all():
            raise ValueError(f"numbers that are not finite in {name}")
    if np.abs(covariance - covariance.T).max() > _ASYMMETRY * np.abs(covariance).max():
        raise ValueError("sigma is not symmetric")
    if (np.diag(covariance) < 0).any():
        raise ValueError("a variance below 0 in sigma")


def _refused(path: Path, expected: str, found: str, mend: str) -> StraightflowError:
    return StraightflowError(expected=f"{expected}, as features.reference says", found=f"{found} ({path})", mend=mend)
