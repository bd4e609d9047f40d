"""DVC's record of the last run of every stage, ``dvc.lock``, and whether files are those that it records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.report.publishing.lineage import StageRecord
from pipeline.system.errors import StraightflowError
from pipeline.system.whole_files import read_text
from pipeline.system.yaml_text import parse_yaml
from stages.commands.repair_locks import LOCK_FILE, require_whole_record


def read_run_record(project: Path) -> dict[str, StageRecord]:
    """The stages that ran in ``project``, by name.

    Raises:
        StraightflowError: If none ran, or the file is damaged.
    """
    path = project / LOCK_FILE
    if not path.is_file():
        raise StraightflowError(
            expected=f"DVC's record of the run in {path}", found="no such file", mend="run the pipeline: `make repro`"
        )
    require_whole_record(project)
    stages = parse_yaml(read_text(path), origin=str(path))["stages"]
    return {name: _record(name, content) for name, content in stages.items()}


def _record(name: str, content: Mapping[str, Any]) -> StageRecord:
    params: dict[str, Any] = {}
    for settings in content.get("params", {}).values():
        params |= settings
    return StageRecord(
        name, str(content["cmd"]), _hashes(content.get("deps", ())), _hashes(content.get("outs", ())), params
    )


def _hashes(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(item["path"]): str(item["md5"]) for item in entries if "md5" in item}


def require_as_recorded(project: Path, paths: Iterable[Path], records: Mapping[str, StageRecord]) -> None:
    """Checks that files and folders are what the stage that writes them wrote last.

    Raises:
        StraightflowError: Naming the first that is missing, changed, or written by no stage that ran.
    """
    makers = {path: record for record in records.values() for path in record.outs}
    for path in paths:
        record = makers.get(path.as_posix())
        if record is None:
            raise StraightflowError(
                expected=f"{path} among the outputs that DVC recorded", found="no such record", mend="run `dvc repro`"
            )
        if not (project / path).exists() or content_hash(project / path) != record.outs[path.as_posix()]:
            raise StraightflowError(
                expected=f"{path} as {record.stage} wrote it, MD5 {record.outs[path.as_posix()]} in {LOCK_FILE}",
                found="other content" if (project / path).exists() else "nothing there",
                mend="move it elsewhere if it is to be kept; then restore it with `dvc checkout`, or `git checkout` "
                f"for metrics, or run `dvc repro {record.stage}`",
            )


def content_hash(path: Path) -> str:
    """MD5 of a file, or of a folder's listing with ``.dir`` behind it, as DVC computes it."""
    # Here, as importing it takes a second, which other commands need not wait for.
    from dvc.fs import localfs
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    nowhere = HashFileDB(localfs, "")  # nothing is stored in it
    _, _, built = build(nowhere, str(path.resolve()), localfs, "md5", dry_run=True)
    return str(built.hash_info.value)
