"""Which files of a folder of pictures are read: images, and tables with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.data.image_format import FOREIGN_SUFFIXES, SUFFIXES
from pipeline.system.errors import StraightflowError

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True)
class FolderListing:
    """Files below a folder, relative to it, in the order of their names.

    Attributes:
        images: Every image at any depth, recognised by its file name extension.
        metadata: Every table of :data:`METADATA`.
    """

    images: tuple[PurePosixPath, ...]
    metadata: tuple[PurePosixPath, ...]


def list_folder(folder: Path) -> FolderListing:
    """Lists a folder, following links. Hidden files and folders (names that begin with a dot) are left out.

    Raises:
        StraightflowError: If a picture has an unsupported format, is a broken link or not a regular file, or if a
            folder cannot be read or contains itself.
    """
    images: list[PurePosixPath] = []
    metadata: list[PurePosixPath] = []
    try:
        for path in _visible_files(folder):
            suffix = path.suffix.lower()
            if suffix in SUFFIXES or path.name in METADATA:
                _require_file(path)
                (metadata if path.name in METADATA else images).append(PurePosixPath(path.relative_to(folder)))
            elif suffix in FOREIGN_SUFFIXES:
                raise StraightflowError(
                    expected=f"images as {', '.join(sorted(SUFFIXES))}",
                    found=str(path),
                    mend="convert it, or keep it elsewhere",
                )
    except OSError as error:
        raise StraightflowError(
            expected=f"a folder that can be read at {error.filename or folder}",
            found=error.strerror or str(error),
            mend="make it readable, or correct data.location",
        ) from error
    return FolderListing(tuple(sorted(images)), tuple(sorted(metadata)))


def _visible_files(folder: Path) -> Iterator[Path]:
    """Everything below ``folder`` that is not a folder and not hidden."""
    waiting = [(folder, frozenset((folder.resolve(),)))]
    while waiting:
        current, above = waiting.pop()
        for item in current.iterdir():
            if item.name.startswith("."):
                continue
            if not item.is_dir():
                yield item
                continue
            target = item.resolve()
            if target in above:
                raise StraightflowError(
                    expected=f"a folder that does not contain itself at {folder}",
                    found=f"{item} links to {target}",
                    mend="keep that link elsewhere",
                )
            waiting.append((item, above | {target}))


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise StraightflowError(
            expected=f"a file at {path}",
            found="a link to nothing" if path.is_symlink() else "something else",
            mend="correct the link, or keep it elsewhere",
        )
