"""An autoencoder on the hub: by itself at the root of a repository, or in a latent model, of which no more is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.models.accepted_autoencoder import PARTS, AcceptedAutoencoder, autoencoder_class, autoencoder_part
from pipeline.models.diffusers_layout import read_json
from pipeline.models.hub_weights import require_autoencoder_on_hub
from pipeline.models.weights_files import SHARDED_WEIGHTS, WEIGHTS, has_safetensors
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES
from pipeline.system.hub import cached_model, download_json, download_model, hub_revision, list_files

Accept = Callable[[Mapping[str, Any], str], AcceptedAutoencoder]
"""Takes the content of a ``config.json`` and what names it in errors; refuses an autoencoder that does not fit."""
CONFIG = "config.json"
_OWN = (CONFIG, WEIGHTS[0], SHARDED_WEIGHTS, "diffusion_pytorch_model-*-of-*.safetensors")
_FILES = (HASHES, *_OWN, *(f"{part}/{name}" for part in PARTS for name in _OWN))


def commit_on_hub(name: str, accept: Accept, open_cached: Callable[[Path], object], recorded: str | None) -> str:
    """The newest commit, judged without its weights; without network the one recorded before, or that in the cache.

    Args:
        name: Id of the repository.
        accept: Judges a configuration.
        open_cached: Judges a folder with weights.
        recorded: The commit that an earlier check looked at; None if there was none.

    Raises:
        StraightflowError: If it is refused, has no weights in safetensors, or the hub does not answer and no commit of
            it is known.
    """
    try:
        revision = hub_revision("model", name)
    except StraightflowError:
        cached = cached_model(name, recorded)
        place = None if cached is None else own_place(cached)
        if cached is not None and place is not None:
            accept(read_json(place / CONFIG), str(place))
            if has_safetensors(place):
                open_cached(cached)
                return cached.name
        if recorded is None:
            raise
        return recorded
    files = frozenset(list_files(name, revision))
    part = _own_part(files.__contains__, name)
    if part is None:
        raise StraightflowError(
            expected=f"an autoencoder in the model {name!r} on the hub, at its root or in {' or '.join(PARTS)}",
            found="none",
            mend="correct autoencoder.source",
        )
    place_name = f"{name}/{part}".rstrip("/")
    config = read_json(download_json(name, (f"{part}/{CONFIG}".lstrip("/"),), revision))
    require_autoencoder_on_hub(name, revision, autoencoder_class(accept(config, place_name).kind), part)
    return revision


def download_autoencoder(name: str, revision: str) -> Path:
    """Folder with the autoencoder of a commit, in safetensors, and nothing else of its repository.

    Raises:
        StraightflowError: If neither the hub nor an earlier download has it whole.
    """
    return download_model(name, revision, _FILES)


def own_place(folder: Path) -> Path | None:
    """Where a folder holds an autoencoder: in a part, as models do, or by itself at its root; None where it does not.

    Raises:
        StraightflowError: If it holds two.
    """
    part = _own_part(lambda name: (folder / name).is_file(), str(folder))
    return None if part is None else folder / part


def _own_part(is_file: Callable[[str], bool], origin: str) -> str | None:
    """The part, empty for the root."""
    part = autoencoder_part(is_file, origin)
    return "" if part is None and is_file(CONFIG) else part
