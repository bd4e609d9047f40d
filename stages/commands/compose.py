"""Composes ``params.yaml`` from a preset, and keeps a copy of what a person wrote there."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.loading import parse_config
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError
from pipeline.system.whole_files import read_bytes
from pipeline.system.yaml_text import parse_yaml
from stages import composition, paths
from stages.commands.dvc_at_work import read_by_no_stage
from stages.entry import PARAMS

LAST_COMPOSED = paths.RUNS / "composed.yaml"


def compose_params(preset: str, settings: list[str]) -> None:
    """Writes params.yaml as ``preset`` and ``settings`` compose it, and prints the keys that change.

    A file that was edited by hand is kept beside it as params.yaml.bak.

    Raises:
        StraightflowError: If they do not compose to a valid configuration, or a stage is running.
    """
    composed = _composed(preset, settings)
    before = read_bytes(PARAMS) if PARAMS.exists() else None
    if before == composed:
        print(f"{PARAMS}: preset {preset}, unchanged")
        return
    with read_by_no_stage(PARAMS, command="compose", meanwhile=f"{PARAMS} changes"):
        backup = None if before is None or _was_composed(before) else _keep(before)
        _write(PARAMS, composed)
        _write(LAST_COMPOSED, composed)
    changed = composition.differences(_mapping(before), _mapping(composed))
    lines = [f"{item.key}: {item.before} -> {item.after}" for item in changed] or ["no key changes its value"]
    print(f"{PARAMS}: composed from preset {preset}", composition.listing(lines, "\n  "), sep="\n  ")
    if backup is not None:
        print(f"the previous {PARAMS} had been edited, or composed elsewhere; it is kept as {backup}")


def _composed(preset: str, settings: list[str]) -> bytes:
    """The new content of params.yaml, once it is known to be valid and to name its preset."""
    text = composition.compose([f"preset={preset}", *settings])
    name = parse_config(parse_yaml(text, origin=f"preset {preset}"), origin=f"preset {preset}").name
    if name != preset:
        raise StraightflowError(
            expected=f"`name: {preset}` in preset {preset}, which `check` compares {PARAMS} with",
            found=f"name: {name}",
            mend=f"write that line in {composition.CONFIGS}/preset/{preset}.yaml; "
            "another preset is chosen by PRESET=, not by -S, and by its name without .yaml",
        )
    return text.encode()


def _was_composed(content: bytes) -> bool:
    """Whether ``content`` is what was last composed, what is committed, or what its preset composes to."""
    last = read_bytes(LAST_COMPOSED) if LAST_COMPOSED.exists() else None
    if content in (last, _committed(PARAMS)):
        return True
    try:
        return content == composition.compose([f"preset={_mapping(content).get('name')}"]).encode()
    except StraightflowError:  # its preset is not in configs/, or does not compose
        return False


def _committed(path: Path) -> bytes | None:
    """Content of ``path`` in git's HEAD; None where there is none."""
    shown = subprocess.run(["git", "show", f"HEAD:./{path}"], capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def _keep(content: bytes) -> Path:
    """Writes ``content`` to the first of params.yaml.bak, .bak2, … that is free or holds the same."""
    names = (PARAMS.with_name(f"{PARAMS.name}.bak{number if number > 1 else ''}") for number in itertools.count(1))
    backup = next(path for path in names if not path.exists() or read_bytes(path) == content)
    _write(backup, content)
    return backup


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _mapping(content: bytes | None) -> Mapping[str, Any]:
    """The sections in a file's content; none where it is absent or is no YAML mapping."""
    try:
        parsed = parse_yaml((content or b"").decode("utf-8", errors="replace"), origin=str(PARAMS))
    except StraightflowError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
