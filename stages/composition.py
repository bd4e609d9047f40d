"""What presets compose to, and how ``params.yaml`` differs from it.

People edit ``configs/``. DVC and the stages read ``params.yaml``, a composed copy.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.utils.hydra import compose_and_dump
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from pipeline.system.errors import StraightflowError, nearest, one_line
from pipeline.system.yaml_text import parse_yaml, read_yaml

CONFIGS = Path("configs")
MOST_LISTED = 10
LONGEST_VALUE = 60
HYDRA = "hydra"


def compose(overrides: Sequence[str], configs: Path = CONFIGS) -> str:
    """The text that ``overrides`` compose to, byte for byte what ``dvc exp run -S`` writes to ``params.yaml``.

    Args:
        overrides: Overrides in Hydra's grammar, such as ``preset=smoke`` or ``data.seed=1``.
        configs: Folder with ``config.yaml`` and the groups of options.

    Raises:
        StraightflowError: If an option or a key does not exist, an override cannot be read, or ``configs`` is absent
            or does not compose. The message names the nearest option or key.
    """
    if not (configs / "config.yaml").is_file():
        raise StraightflowError(
            expected="Hydra's configuration", found=f"no file {configs / 'config.yaml'}", mend="call it in the project"
        )
    for path in sorted(configs.rglob("*.yaml")):
        read_yaml(path)  # Hydra would write every alias out
    _require_settings_of_the_run(overrides)
    folder = configs.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "params.yaml"
        try:
            compose_and_dump(target, str(folder), None, "config", str(folder.parent), list(overrides))
        # Hydra raises ValueError for an option that is not text, RecursionError for defaults that go round in circles.
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError) as error:
            raise StraightflowError(
                expected=f"settings that {configs}/ composes with {' '.join(overrides)}",
                found=_problem(error),
                mend=f"correct the setting, or the file in {configs}/ that it is about",
            ) from error
        return target.read_text("utf-8")


def _require_settings_of_the_run(overrides: Sequence[str]) -> None:
    """Refuses settings of Hydra itself, which it would take and leave without effect."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return  # composing says what is wrong with it
    for override in parsed:
        if re.split(r"[./@:]", override.key_or_group, maxsplit=1)[0] == HYDRA:
            raise StraightflowError(
                expected="settings of the run",
                found=f"{override.input_line}, which is one of Hydra and would have no effect",
                mend="leave it out",
            )


class Difference(NamedTuple):
    """A dotted key whose value differs between two configurations, and both values as text."""

    key: str
    before: str
    after: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Where two configurations differ, in the order of ``after``. A section that one lacks counts as one key."""
    return list(_differences(before, after, ()))


def listing(items: Iterable[str], separator: str) -> str:
    """The first ten of ``items`` joined by ``separator``, then how many more there are."""
    items = list(items)
    more = [f"and {len(items) - MOST_LISTED} more"] if len(items) > MOST_LISTED else []
    return separator.join([*items[:MOST_LISTED], *more])


def note_on(params: Path, configs: Path = CONFIGS) -> str | None:
    """One line that says how a valid ``params`` differs from the preset it names; None if it does not.

    Settings given by ``-S`` and edits of ``params`` itself are differences too. Where ``configs`` is absent or does not
    compose, the line says that.
    """
    content = read_yaml(params)
    preset = content["name"]
    try:
        composed = parse_yaml(compose([f"preset={preset}"], configs), origin=f"preset {preset}")
    except StraightflowError as error:
        return f"{params} was not compared with preset {preset}: {error.found}"
    found = [f"{item.key} ({item.before}, composed {item.after})" for item in differences(content, composed)]
    if not found:
        return None
    keys = listing(found, ", ")
    return f"{params} differs from preset {preset} in {keys}: `make repro PRESET={preset}` composes it anew"


_ABSENT = object()


def _differences(before: object, after: object, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in {**after, **before}:
            yield from _differences(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, str(key)))
    elif before != after:
        yield Difference(".".join(path), _shown(before), _shown(after))


def _shown(value: object) -> str:
    """A value in one short piece of text."""
    if value is _ABSENT:
        return "absent"
    if isinstance(value, Mapping) and value:
        return "{…}"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _problem(error: Exception) -> str:
    """What Hydra refused, in one line, with the nearest option or key where one does not exist."""
    if isinstance(error, RecursionError):
        return "defaults that go round in circles: a file names itself, or one that names it"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.partition("/")
        return f"{group} {option!r}{nearest(option, error.options)}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, Mapping):
        known = [str(key) for key in cause.parent_node if key != HYDRA]
        if str(cause.key) not in known:
            more = f"for a setting that the preset leaves out, write +{cause.full_key}"
            return f"key {cause.full_key!r}{nearest(str(cause.key), known)}; {more}"
    return one_line(error)
