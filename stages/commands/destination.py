"""Where a publication goes: a folder here, or a repository on the hub, never one taken for the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.report.publishing.sources import require_repository_id
from pipeline.system.errors import StraightflowError
from stages import paths

DEFAULT = Path("published")


@dataclass(frozen=True)
class Destination:
    """One of both; the other is None."""

    folder: Path | None = None
    repository: str | None = None


def destination_of(to: str | None, model: str) -> Destination:
    """What ``--to`` names.

    Args:
        to: ``owner/name`` is a repository on the hub. What exists here, begins with ``.``, ``/`` or ``~``, ends with
            ``/``, or has no slash or several, is a folder. None is :data:`DEFAULT` / ``model``.
        model: Name of the model.

    Raises:
        StraightflowError: If it could be either, is no valid id, or lies where stages write and DVC deletes.
    """
    if to is None:
        return Destination(folder=_apart_from_outputs(DEFAULT / model))
    path = Path(to)
    if to.startswith((".", "/", "~")) or to.endswith("/") or to.count("/") != 1 or path.exists():
        return Destination(folder=_apart_from_outputs(path.expanduser()))
    if path.parent.exists():
        raise StraightflowError(
            expected="a folder, or owner/name on the hub",
            found=f"{to!r}, which could be either, as {path.parent} is here",
            mend=f"write --to ./{to} for the folder; for the hub call this in another place, or rename {path.parent}",
        )
    require_repository_id(to, "--to")
    return Destination(repository=to)


def _apart_from_outputs(folder: Path) -> Path:
    for output in paths.OUTPUTS:
        if folder.resolve().is_relative_to((paths.PROJECT / output).resolve()):
            raise StraightflowError(
                expected="a folder outside of those where stages write and DVC deletes",
                found=f"{folder}, which lies in {output}",
                mend=f"name another folder with --to, such as ./{DEFAULT / folder.name}",
            )
    return folder
