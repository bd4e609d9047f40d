"""The folder of a teacher or a student: the stock pipeline of its kind, what else belongs to it, and hashes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.companions import companion_files, copy_companions
from pipeline.models.kinds import NETWORK_PARTS, kind_of
from pipeline.system.atomic import atomic_folder
from pipeline.system.file_hashes import HASHES, write_hashes

if TYPE_CHECKING:
    from diffusers import ModelMixin


def save_pipeline(
    network: ModelMixin,
    scheduler: Any,
    folder: Path,
    like: Path | None = None,
    add: Callable[[Path], None] | None = None,
) -> None:
    """Saves a network as the stock pipeline of its kind, with the hashes of its files, atomically.

    Args:
        network: The network.
        scheduler: A stock one.
        folder: Where it goes.
        like: Folder of a model whose other parts (autoencoder, text encoder) it keeps; None where there are none.
        add: Adds what else belongs to it to its folder; None for nothing.
    """
    kind = kind_of(network)
    with atomic_folder(folder, ours=is_saved_pipeline) as temporary:
        kind.save(network, scheduler, temporary)
        if like is not None:
            copy_companions(like, temporary, kind)
        if add is not None:
            add(temporary)
        write_hashes(temporary)


def is_saved_pipeline(folder: Path) -> bool:
    """Whether ``folder`` holds the files of a model as it is saved here, teacher or student, and nothing else."""
    files = {item.relative_to(folder).as_posix() for item in folder.rglob("*") if not item.is_dir()}
    for part in NETWORK_PARTS:
        weights = {name for name in files if name.startswith(f"{part}/diffusion_pytorch_model")}
        own = {"model_index.json", "scheduler/scheduler_config.json", f"{part}/config.json", HASHES} | weights
        if weights and own - {HASHES} <= files:
            return files <= own or files - own <= companion_files(folder)
    return False
