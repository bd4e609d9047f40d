"""A published model as a folder: complete, hashed, and either whole or absent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from pipeline.system.atomic import atomic_folder
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import require_unchanged, write_hashes
from pipeline.system.replacing import nothing, require_replaceable
from pipeline.system.sums import is_as_summed, write_sums

CARD = "README.md"
PARAMS = "params.yaml"
PROVENANCE = "provenance.json"


def require_place(folder: Path, *, force: bool) -> None:
    """Checks that a publication may be written at ``folder``.

    Raises:
        StraightflowError: If something is there: an earlier publication without ``force``, or anything else. What a
            person changed or added is never replaced.
    """
    target = folder.resolve()
    if not force and target.is_dir() and next(target.iterdir(), None) is not None and is_published(target):
        raise StraightflowError(
            expected=f"nothing at {folder}, or --force to replace what was published there",
            found="a published model",
            mend="call again with --force, or name another folder with --to",
        )
    require_replaceable(folder, is_published if force else nothing)


def write_folder(
    folder: Path,
    *,
    model: Path,
    card: ModelCard,
    further: Mapping[str, bytes],
    params: bytes,
    provenance: Mapping[str, Any],
    force: bool,
) -> None:
    """Writes a publication atomically.

    Args:
        folder: Where.
        model: Saved model, whose files are copied as they are.
        card: Its card.
        further: Content of figures and other files that opening does not read, by path in the folder.
        params: Content of ``params.yaml``.
        provenance: Content of ``provenance.json``.
        force: Whether an earlier publication is replaced.

    Raises:
        StraightflowError: As :func:`require_place`; or if the model's files are not as they were saved.
    """
    require_place(folder, force=force)
    with atomic_folder(folder, ours=is_published if force else nothing) as temporary:
        shutil.copytree(model, temporary, dirs_exist_ok=True)
        require_unchanged(temporary)  # the copy, which is what others get
        (temporary / PROVENANCE).write_text(json.dumps(provenance, indent=2, allow_nan=False) + "\n", "utf-8")
        # Only what opening reads: the card may be edited on the hub, and is not downloaded with the model.
        write_hashes(temporary)
        (temporary / PARAMS).write_bytes(params)
        for name, content in further.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(content)
        card.save(temporary / CARD)
        write_sums(temporary)
        for item in temporary.rglob("*"):
            item.chmod(0o755 if item.is_dir() else 0o644)  # weights are saved for their owner alone


def is_published(folder: Path) -> bool:
    """Whether ``folder`` holds a publication and nothing else: no file was changed or added since."""
    return (folder / PROVENANCE).is_file() and is_as_summed(folder)
