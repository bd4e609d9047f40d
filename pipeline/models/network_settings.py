"""What the settings of a saved network may be: diffusers takes any value, and makes another network of a wrong one.

Text counts as true, a scale of zero or NaN leaves an image of NaN, a million layers are built one by one, and names
that a class does not know are left out with a warning. Channels, sizes, times and classes are judged where they are
read, see :mod:`pipeline.models.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.models.kinds.kind import NetworkKind
from pipeline.system.errors import StraightflowError, nearest


def require_known_settings(config: Mapping[str, Any], kind: NetworkKind, origin: str) -> None:
    """Refuses settings that a network's class has not, and values of another type or out of range.

    Args:
        config: Content of its ``config.json``.
        kind: Of the network.
        origin: Names it in errors.

    Raises:
        StraightflowError: If there is one.
    """
    require_known_names(config, kind.known_settings(), kind.class_name, origin)
    kind.accept_settings(config, origin)


def require_known_names(config: Mapping[str, Any], known: Sequence[str], class_name: str, origin: str) -> None:
    """Refuses settings that a class of diffusers has not, and would leave out.

    Raises:
        StraightflowError: If there is one.
    """
    for name, value in config.items():
        if not name.startswith("_") and name not in known and value is not None and value is not False:
            raise StraightflowError(
                expected=f"settings that {class_name} has, in {origin}",
                found=f"{name}: {str(value)[:80]}{nearest(name, known)}",
                mend="correct config.json, or name another checkpoint",
            )
