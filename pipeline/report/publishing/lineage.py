"""What a model and its measurements were made from, by the hashes that DVC recorded: all of one run, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.system.errors import StraightflowError

CHECKS_ONLY = ("check",)
"""Stages that read all settings and decide none of a model: how processes are launched is among them."""


@dataclass(frozen=True)
class StageRecord:
    """The last run of a stage.

    Attributes:
        stage: Its name in ``dvc.yaml``.
        command: What was called.
        deps: MD5 of each input by path, of a folder with ``.dir`` behind it.
        outs: The same of each output.
        params: Settings that it depends on, by key; keys of several levels have dots.
    """

    stage: str
    command: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Any]


def lineage(records: Mapping[str, StageRecord], stage: str) -> tuple[StageRecord, ...]:
    """The record of ``stage`` and of every stage that made one of its inputs, and so on: what is made first, first.

    Raises:
        StraightflowError: If ``stage`` did not run.
    """
    if stage not in records:
        raise StraightflowError(
            expected=f"{stage} among the stages that DVC recorded",
            found="no such record",
            mend=f"run `dvc repro {stage}`",
        )
    makers = {path: record for record in records.values() for path in record.outs}
    found: dict[str, StageRecord] = {}

    def visit(record: StageRecord) -> None:
        for path in record.deps:
            if path in makers and makers[path].stage not in found:
                visit(makers[path])
        found[record.stage] = record

    visit(records[stage])
    return tuple(found.values())


def require_one_run(records: Iterable[StageRecord], params: Mapping[str, Any]) -> None:
    """Checks that each stage read what the stage before it wrote last, under the settings of today.

    Args:
        records: From :func:`lineage`.
        params: Content of ``params.yaml``.

    Raises:
        StraightflowError: Naming the first stage of which that is not so: the card would state another run's numbers.
    """
    written: dict[str, str] = {}
    for record in records:
        for path, read in record.deps.items():
            if written.get(path, read) != read:
                raise _other_run(record.stage, f"{path} has been made again since {record.stage} read it")
        written |= record.outs
        changed = [key for key, value in record.params.items() if _setting(params, key) != value]
        if changed and record.stage not in CHECKS_ONLY:
            raise _other_run(record.stage, f"{changed[0]} in params.yaml is not what {record.stage} ran with")


def _setting(params: Mapping[str, Any], key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _other_run(stage: str, found: str) -> StraightflowError:
    return StraightflowError(
        expected="a model, its couplings, its measurements and params.yaml of one run",
        found=found,
        mend=f"run `dvc repro {stage}` and what follows it, or publish from a commit in which that run is whole",
    )
