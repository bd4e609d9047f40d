"""Libraries that only some settings need."""

from __future__ import annotations

import importlib.util

from pipeline.system.errors import StraightflowError


def require_package(name: str, *, wanted_by: str, mend: str) -> None:
    """Raises StraightflowError, with ``mend``, unless the package ``name`` that ``wanted_by`` needs is installed."""
    if importlib.util.find_spec(name) is None:
        raise StraightflowError(expected=f"the package {name}, for {wanted_by}", found="not installed", mend=mend)
