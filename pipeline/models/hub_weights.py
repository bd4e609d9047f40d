"""The weights of a model on the hub, judged by their headers, before gigabytes of them are downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ModelMixin

from pipeline.models.kinds import read_kind
from pipeline.models.own_weights import require_own_weights
from pipeline.models.weights_files import SHARDED_WEIGHTS, WEIGHTS, require_real_numbers, wrong_weights
from pipeline.system.errors import StraightflowError
from pipeline.system.hub import list_files, read_tensors


def require_weights_on_hub(name: str, revision: str, config: Mapping[str, Any], folder: str) -> None:
    """Checks that a commit has weights, and that tensors in safetensors are those of the network by name and shape.

    What is in other formats only the download tells.

    Args:
        name: The model's hub id.
        revision: The commit.
        config: Content of the network's ``config.json``, as it was accepted.
        folder: Where that lies in the repository; empty for its root.

    Raises:
        StraightflowError: If there are no weights, or they are of another network or no real numbers.
    """
    prefix = f"{folder}/" if folder else ""
    origin = f"{name}/{folder}".rstrip("/")
    found = {file.removeprefix(prefix) for file in list_files(name, revision) if file.startswith(prefix)}
    sharded = SHARDED_WEIGHTS in found
    if not sharded and not found & set(WEIGHTS):
        raise wrong_weights(origin, "neither")
    files = sorted(file for file in found if file.endswith(".safetensors") and "/" not in file)
    files = files if sharded else [file for file in files if file in WEIGHTS]
    tensors = {key: entry for file in files for key, entry in read_tensors(name, revision, prefix + file).items()}
    if not tensors:
        return
    require_real_numbers({key: entry.dtype for key, entry in tensors.items()}, origin)
    _require_shapes({key: tuple(entry.shape) for key, entry in tensors.items()}, config, origin, sharded=sharded)


def require_autoencoder_on_hub(name: str, revision: str, kind: type[ModelMixin], folder: str) -> None:
    """Checks that a commit has an autoencoder's weights in safetensors; the download tells whether they are its own.

    Args:
        name: The model's hub id.
        revision: The commit.
        kind: Class of the autoencoder.
        folder: Where it lies in the repository; empty for its root.

    Raises:
        StraightflowError: If it has none there.
    """
    prefix = f"{folder}/" if folder else ""
    if not {prefix + WEIGHTS[0], prefix + SHARDED_WEIGHTS}.intersection(list_files(name, revision)):
        raise StraightflowError(
            expected=f"weights of the {kind.__name__} in {f'{name}/{folder}'.rstrip('/')}, in safetensors",
            found="none",
            mend="name a model saved by a current diffusers, or save a copy of it with save_pretrained",
        )


def _require_shapes(
    found: dict[str, tuple[int, ...]], config: Mapping[str, Any], origin: str, *, sharded: bool
) -> None:
    with torch.device("meta"):
        network = read_kind(config, origin).build(config)
    if not sharded:  # as diffusers loads them: names from before its attention was rewritten
        network._fix_state_dict_keys_on_load(found)
    wanted = {key: tuple(values.shape) for key, values in network.state_dict().items()}
    require_own_weights(
        origin, wanted.keys() - found.keys(), found.keys() - wanted.keys(),
        {key: found[key] for key in wanted.keys() & found.keys() if found[key] != wanted[key]},
    )  # fmt: skip
