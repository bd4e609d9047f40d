"""The commit on the hub that ``check`` looked at, for the stages that read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.model_names import AUTOENCODER
from pipeline.system.errors import StraightflowError
from pipeline.system.whole_files import read_json
from stages import paths


def recorded_autoencoder(source: str) -> str | None:
    """The commit of an autoencoder that is brought along from ``source``; None of one in a local folder.

    Raises:
        StraightflowError: As :func:`recorded_commit`.
    """
    if Path(source).is_dir():
        return None
    return recorded_commit(paths.TEACHER_INPUT, {"source": source}, part=AUTOENCODER)


def recorded_commit(record: Path, named: Mapping[str, object], part: str | None = None) -> str:
    """The commit in the record of ``check``.

    Args:
        record: inputs/data.json or inputs/teacher.json.
        named: What the settings name, which the record must be of.
        part: Entry of the record that is of it; None for the record itself.

    Raises:
        StraightflowError: If the record is missing, of something else, or has no commit.
    """
    content: object = None
    try:
        content = read_json(record)
        if part is not None:
            content = content.get(part) if isinstance(content, dict) else None
        found = f"one of {content}"[:200]
    except (OSError, ValueError) as error:
        found = str(error)
    if isinstance(content, dict) and all(content.get(key) == value for key, value in named.items()):
        commit = content.get("fingerprint")
        if isinstance(commit, str):
            return commit
        found = "no commit"
    raise StraightflowError(
        expected=f"a record of the commit of {' '.join(map(str, named.values()))} in {record}, as check writes it",
        found=found,
        mend="run `dvc repro check`, or `make check`, first",
    )
