"""Parts of a saved pipeline beside its network and scheduler: the autoencoder of latents, the encoders of prompts.

A model that is made from another has the same ones. They are copied as files and named in ``model_index.json``, so that
the stock pipeline opens it; nothing is loaded, and what reads text need not be installed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.models.diffusers_layout import read_json
from pipeline.models.kinds import NETWORK_PARTS
from pipeline.models.kinds.kind import NetworkKind
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import recorded_files

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers", "stable_diffusion", "stable_diffusion_3")
"""Of the classes of companions; others may be code that comes with a model, which nothing here hands on."""


def copy_companions(source: Path, folder: Path, kind: NetworkKind) -> None:
    """Gives a pipeline that was just saved the companions of another, and the settings of its index.

    Args:
        source: Folder of a saved pipeline; one of a network alone, without an index, has none.
        folder: Where the other was saved.
        kind: Of the network of both.

    Raises:
        StraightflowError: If an index cannot be read, or names code of the model's own for a companion.
    """
    if not kind.companions or not (source / INDEX).is_file():
        return
    theirs = read_json(source / INDEX)
    entries = {part: theirs[part] for part in kind.companions if part in theirs}
    for part, entry in entries.items():
        if _is_there(part, entry, source):
            shutil.copytree(source / part, folder / part)
    settings = {name: value for name, value in theirs.items() if name[0] != "_" and not isinstance(value, list)}
    write_json(folder / INDEX, settings | entries | read_json(folder / INDEX))


def companion_files(folder: Path) -> set[str]:
    """Files of companions by their path in a folder saved here: those in subfolders of their own that its hashes list.

    Raises:
        StraightflowError: If the hashes cannot be read.
    """
    others = tuple(f"{part}/" for part in (*NETWORK_PARTS, "scheduler"))
    return {name for name in recorded_files(folder) if "/" in name and not name.startswith(others)}


def _is_there(part: str, entry: object, source: Path) -> bool:
    """Whether an entry of a ``model_index.json``, (library, class), is of a part, and not of none."""
    if entry == [None, None]:
        return False
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in _LIBRARIES:
        raise StraightflowError(
            expected=f"a class of {', '.join(_LIBRARIES)} for {part} in {source / INDEX}",
            found=str(entry)[:80],
            mend="name a model of stock classes",
        )
    if not (source / part).is_dir():
        raise StraightflowError(
            expected=f"a folder {part} in {source}, which its {INDEX} names",
            found="none",
            mend="copy or download the whole model again",
        )
    return True
