"""Parts of a saved pipeline beside its network and scheduler: the autoencoder of latents, the encoders of prompts.

A model that is made from another has the same ones. They are copied as files and named in ``model_index.json``, so that
the stock pipeline opens it; nothing is loaded, and what reads text need not be installed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.models.accepted_autoencoder import accept_part, autoencoder_folder
from pipeline.models.diffusers_layout import read_json
from pipeline.models.kinds import NETWORK_PARTS
from pipeline.models.kinds.kind import NetworkKind
from pipeline.models.weights_files import require_whole_weights
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import recorded_files, require_unchanged

INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers", "stable_diffusion", "stable_diffusion_3")
"""Of the classes of companions; others may be code that comes with a model, which nothing here hands on."""


VQVAE_PART = "vqvae"
"""Subfolder of ``LDMPipeline`` that its autoencoder lies in, whatever its kind."""
_AUTOENCODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def copy_companions(source: Path, folder: Path, kind: NetworkKind) -> None:
    """Gives a pipeline that was just saved the companions of another, and the settings of its index.

    Args:
        source: Folder of a saved pipeline; one of a network alone, without an index, has none. A network with a stock
            pipeline of its own for latents takes an autoencoder from any folder that holds one.
        folder: Where the other was saved.
        kind: Of the network of both.

    Raises:
        StraightflowError: If an index cannot be read, or names code of the model's own for a companion; or if an
            autoencoder is not whole, or shifts latents, which the pipeline ignores.
    """
    if kind.latent_pipeline is not None:
        _copy_autoencoder(source, folder, kind.latent_pipeline)
        return
    if not kind.companions or not (source / INDEX).is_file():
        return
    theirs = read_json(source / INDEX)
    entries = {part: theirs[part] for part in kind.companions if part in theirs}
    for part, entry in entries.items():
        if _is_there(part, entry, source):
            shutil.copytree(source / part, folder / part)
    settings = {name: value for name, value in theirs.items() if name[0] != "_" and not isinstance(value, list)}
    write_json(folder / INDEX, settings | entries | read_json(folder / INDEX))


def _copy_autoencoder(source: Path, folder: Path, pipeline: str) -> None:
    """Makes a saved pipeline of a network alone ``pipeline``, with the autoencoder that ``source`` holds, if any."""
    place = autoencoder_folder(source)
    if place is None:
        return
    require_unchanged(source)
    config = read_json(place / _AUTOENCODER_FILES[0])
    accept_part(config, VQVAE_PART, str(place))
    require_whole_weights(place)
    (folder / VQVAE_PART).mkdir()
    for name in _AUTOENCODER_FILES:
        if not (place / name).is_file():
            raise StraightflowError(
                expected=f"{' and '.join(_AUTOENCODER_FILES)} of the autoencoder in {place}",
                found=f"no {name}",
                mend="save it again with a current diffusers, in one file",
            )
        shutil.copyfile(place / name, folder / VQVAE_PART / name)
    index = read_json(folder / INDEX)
    write_json(folder / INDEX, index | {"_class_name": pipeline, VQVAE_PART: ["diffusers", config["_class_name"]]})


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
