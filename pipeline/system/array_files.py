"""Files of arrays (safetensors) read whole, each number finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from pipeline.system.whole_files import require_file


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file by name.

    Raises:
        OSError: If it cannot be read, or is no file.
        ValueError: If it is no safetensors file, or holds a type that NumPy has not or a number that is not finite.
    """
    _require_readable(path)
    try:
        arrays: dict[str, np.ndarray] = load_file(path)
    # The last two are those of types that NumPy has not, and of headers that lie.
    except (SafetensorError, TypeError, KeyError) as error:
        raise ValueError(str(error)) from error
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"numbers that are not finite in {name}")
    return arrays


def read_notes(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself beside its arrays; errors as of :func:`read_arrays`."""
    _require_readable(path)
    try:
        with safe_open(path, framework="numpy") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _require_readable(path: Path) -> None:
    """OSError where the system refuses the file, which safetensors tells as an error of the content."""
    require_file(path)
    path.open("rb").close()
