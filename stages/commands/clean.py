"""Lists what ``runs/`` and DVC's cache keep that nothing needs any more, and deletes it when told to."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.couplings.inventory import unfinished_stores
from pipeline.evaluation.inventory import cached_results
from pipeline.system.errors import StraightflowError
from pipeline.system.file_lock import file_lock
from pipeline.training.inventory import unfinished_trainings
from stages import paths
from stages.commands.dvc_at_work import dvc_at_work, read_by_no_stage
from stages.commands.dvc_cache import DvcCache
from stages.commands.needed import Needed, needed_cells, needed_references, needed_stores, needed_trainings
from stages.commands.watch import running
from stages.entry import PARAMS

# What is in a folder that a stage wrote; one with anything else is a person's as well, and stays.
_OF_TRAINING = re.compile(r"\.lock|\.?step-\d{9}(\.tmp)?(/.*)?", re.DOTALL)
_OF_STORE = re.compile(r"settings\.json|shard-\d+\.safetensors(\.json)?|\.shard-\d+\.safetensors\.lock")
_OF_RESULT = re.compile(r"[a-z0-9_]+\.(json|safetensors)")
_STORE_NAME = re.compile(r"couplings-[0-9a-f]{16}")


@dataclass(frozen=True)
class Kept:
    """A folder in ``runs/`` that a stage wrote.

    Attributes:
        folder: The folder.
        description: What it holds.
        group: Model or source of couplings that it belongs to; ``""`` where that is not known.
    """

    folder: Path
    description: str
    group: str

    @property
    def num_bytes(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())


def clean(config: Config, *, delete: bool) -> None:
    """Prints what is not needed, with sizes and in all; deletes it if ``delete``.

    Args:
        config: Whose run needs what it would go on with or reuse.
        delete: Whether to delete.

    Raises:
        StraightflowError: If a run is in progress and ``delete``, or DVC cannot say what its cache holds.
    """
    if not delete:
        _list(config)
        return
    _require_no_run()
    with read_by_no_stage(PARAMS, command="clean", meanwhile="what it may need is deleted"):
        unneeded, cache = _list(config)
        for kept in unneeded:
            _delete(kept)
        cache.collect()
    print("deleted")


def _list(config: Config) -> tuple[list[Kept], DvcCache]:
    """Prints what is not needed, and returns it."""
    unneeded = list(_unneeded(config))
    for kept in unneeded:
        print(f"{kept.folder}: {kept.description}, {_megabytes(kept.num_bytes)}")
    print("asking DVC what each commit and experiment uses, which takes a while where there are many", file=sys.stderr)
    cache = DvcCache(paths.PROJECT)
    print(cache.describe())
    total = sum(kept.num_bytes for kept in unneeded) + cache.num_bytes
    print(f"not needed by {PARAMS}: {len(unneeded)} folders in {paths.RUNS} and the above of DVC, {_megabytes(total)}")
    return unneeded, cache


def _unneeded(config: Config) -> Iterator[Kept]:
    kinds: tuple[tuple[list[Kept], Callable[[Config], Needed], re.Pattern[str]], ...] = (
        (_trainings(), needed_trainings, _OF_TRAINING),
        (_stores(), needed_stores, _OF_STORE),
        (_results(paths.CELLS, "measured cell"), needed_cells, _OF_RESULT),
        (_results(paths.REFERENCES, "statistics of real images"), needed_references, _OF_RESULT),
    )
    for found, needed_by, written in kinds:
        if not found:
            continue
        needed = needed_by(config)
        for kept in found:
            reason = _reason_to_keep(kept, needed, written)
            if reason is None:
                yield kept
            elif reason:
                print(f"{kept.folder}: stays, {reason}", file=sys.stderr)


def _reason_to_keep(kept: Kept, needed: Needed, written: re.Pattern[str]) -> str | None:
    """Why a folder stays, ``""`` where it is simply needed; None if nothing needs it."""
    if kept.folder.name in needed.names:
        return ""
    untold = next(
        (why for group, why in needed.untold.items() if "" in (group, kept.group) or group == kept.group), None
    )
    if untold is not None:
        return f"as what the run needs of its kind cannot be told: {untold}"
    if kept.folder.is_symlink():
        return "as it is a link"
    foreign = sorted(
        name
        for name in (item.relative_to(kept.folder).as_posix() for item in kept.folder.rglob("*"))
        if not written.fullmatch(name)
    )
    if foreign:
        return f"as no stage wrote {foreign[0]} in it"
    if _is_at_work(kept.folder):
        return "as a process is at work in it"
    return None


def _trainings() -> list[Kept]:
    return [
        Kept(found.folder, f"training of {found.model}, {len(found.steps)} checkpoints", found.model)
        for found in unfinished_trainings(paths.RUNS)
    ]


def _stores() -> list[Kept]:
    return [
        Kept(
            found.folder,
            f"unfinished couplings, {found.num_shards} shards",
            "" if found.settings is None else str(found.settings["source"]),
        )
        for found in unfinished_stores(paths.RUNS)
        if _STORE_NAME.fullmatch(found.folder.name)
    ]


def _results(folder: Path, description: str) -> list[Kept]:
    return [Kept(found, description, "") for found in cached_results(folder)]


def _require_no_run() -> None:
    """Refuses to delete beside a run, which may have begun with another configuration."""
    found = [f"{status.stage}, process {status.process} on {status.host}" for status in running(paths.PROJECT)]
    found += [f"dvc, process {process}" for process in dvc_at_work(paths.PROJECT)]
    if found:
        raise StraightflowError(
            expected="no run in progress", found="; ".join(found), mend="wait until it ends (`straightflow watch`)"
        )


def _locks(folder: Path) -> list[Path]:
    """Lock files of whoever works in a folder of ``runs/``."""
    return sorted(folder.glob(".*lock"))


def _busy(folder: Path) -> StraightflowError:
    return StraightflowError(
        expected=f"no process at work in {folder}", found="one", mend="wait until it ends, or end it"
    )


def _is_at_work(folder: Path) -> bool:
    try:
        with ExitStack() as stack:
            for lock in _locks(folder):
                stack.enter_context(file_lock(lock, busy=_busy(folder)))
    except StraightflowError:
        return True
    return False


def _delete(kept: Kept) -> None:
    """Deletes a folder while holding its locks."""
    with ExitStack() as stack:
        for lock in _locks(kept.folder):
            stack.enter_context(file_lock(lock, busy=_busy(kept.folder)))
        shutil.rmtree(kept.folder)


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"
