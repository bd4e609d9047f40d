"""A folder's ``SHA256SUMS``, which tells whether it still holds what was written there, and nothing else."""

from __future__ import annotations

from pathlib import Path

from pipeline.system.file_hashes import file_hashes
from pipeline.system.whole_files import read_text

SUMS = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Writes the hashes of all files in ``folder``, as ``sha256sum --check`` reads them."""
    sums = file_hashes(folder, record=SUMS)
    (folder / SUMS).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()), "utf-8")


def is_as_summed(folder: Path) -> bool:
    """Whether ``folder`` has its ``SHA256SUMS`` and no file was changed, added or removed since."""
    sums = folder / SUMS
    if not sums.is_file():
        return False
    lines = [line.partition("  ") for line in read_text(sums, errors="replace").splitlines()]
    return {name: sha256 for sha256, _, name in lines} == file_hashes(folder, record=SUMS)
