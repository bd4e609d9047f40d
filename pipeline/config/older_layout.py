"""The older layout of configurations: ``rounds`` and ``distill`` in place of ``couplings`` and ``students``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.system.errors import StraightflowError

OLDER_SECTIONS = ("rounds", "distill")
OF_REFLOW = ("timesteps", "weighting", "path")
"""Settings of a round's training that are parameters of the method ``reflow`` now."""


def require_no_older_sections(content: Mapping[str, Any], origin: str) -> None:
    """Checks that a configuration has no section of the older layout.

    Args:
        content: The configuration as plain mappings, whole or in part.
        origin: Names it in errors.

    Raises:
        StraightflowError: If it has one. The message holds the same settings in today's layout.
    """
    found = [name for name in OLDER_SECTIONS if name in content]
    if found:
        lines = _as_yaml(todays_layout(content)).splitlines()
        raise StraightflowError(
            expected=f"the sections couplings, students and headline in {origin}",
            found=f"{' and '.join(found)}, of an older layout",
            mend="write this in their place, in the preset if they are from one:" + "".join(f"\n  {x}" for x in lines),
        )


def todays_layout(content: Mapping[str, Any]) -> dict[str, Any]:
    """The sections ``couplings``, ``students`` and ``headline`` that say what ``rounds`` and ``distill`` say.

    What is no mapping is left out, as it never was valid.
    """
    couplings: dict[str, Any] = {}
    students: dict[str, Any] = {}
    for name, item in _mapping(content.get("rounds")).items():
        couplings[name] = _mapping(_mapping(item).get("couplings"))
        students[name] = {"couplings": name} | _as_reflow(_mapping(_mapping(item).get("train")))
    instead: dict[str, Any] = {"couplings": couplings, "students": students}
    if "distill" in content:
        students["distilled"] = _mapping(content["distill"]) | {"method": {"name": "fixed_steps"}}
        instead["headline"] = "distilled"
    return instead


def _as_reflow(train: Mapping[str, Any]) -> dict[str, Any]:
    """A round's training as a student's settings."""
    parameters = {key: train[key] for key in OF_REFLOW if key in train}
    others = {key: value for key, value in train.items() if key not in OF_REFLOW}
    return others | {"method": {"name": "reflow"} | parameters}


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _as_yaml(content: Mapping[str, Any]) -> str:
    """Block YAML with short mappings on one line; what stands in two places is written twice."""
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False, default_flow_style=None, width=10_000))
