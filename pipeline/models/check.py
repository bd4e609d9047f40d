"""Whether the teacher can be had, may be one and fits the images: told before anything is trained."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.config.network import UNetConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.models.accepted_teacher import (
    accept_teacher,
    open_teacher,
    require_callable,
    require_halvings,
    require_shape,
)
from pipeline.models.diffusers_layout import read_json
from pipeline.models.unet import build_unet
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.system.hub import cached_model, download_json, hub_revision

CONFIGS = ("unet/config.json", "config.json")
SCHEDULER_CONFIGS = ("scheduler/scheduler_config.json", "scheduler_config.json")


def check_teacher(teacher: TeacherConfig, data: DataConfig, previous: dict[str, object]) -> dict[str, object]:
    """Checks the configured teacher against the configured images.

    Args:
        teacher: The teacher.
        data: The images.
        previous: What this function returned before; where the hub does not answer now, it vouches for a
            teacher that was reached then.

    Returns:
        What the teacher stage depends on: name and fingerprint, both None for a teacher trained here.

    Raises:
        StraightflowError: If the teacher is missing, of another shape than the images, or refused by
            :func:`pipeline.models.accepted_teacher.open_teacher`, as the teacher stage would refuse it.
    """
    if teacher.unet is None:  # an mlp takes points of any dimension
        return {"pretrained": None, "fingerprint": None}
    if teacher.pretrained is None:
        _require_trainable(teacher.unet, data.image_shape)
        return {"pretrained": None, "fingerprint": None}
    name = teacher.pretrained
    if _exists(name):
        folder = Path(name)
        _require_folder(folder)
        open_teacher(folder, data.image_shape, name)
        return {"pretrained": name, "fingerprint": fingerprint_folder(folder)}
    if _is_path(name):
        raise StraightflowError(
            expected=f"a teacher at {name!r}: an existing folder, or a hub id",
            found="no such folder",
            mend="correct teacher.pretrained",
        )
    return _check_on_hub(name, data.image_shape, previous)


def _check_on_hub(name: str, shape: tuple[int, ...], previous: dict[str, object]) -> dict[str, object]:
    try:
        revision = hub_revision("model", name)
    except StraightflowError:
        if previous.get("pretrained") == name:
            return previous
        cached = cached_model(name)
        if cached is None:
            raise
        open_teacher(cached, shape, name)
        return {"pretrained": name, "fingerprint": cached.name}
    network = read_json(download_json(name, CONFIGS, revision))
    scheduler = read_json(download_json(name, SCHEDULER_CONFIGS, revision))
    require_shape(accept_teacher(network, scheduler, name).shape, shape, name)
    return {"pretrained": name, "fingerprint": revision}


def _require_trainable(config: UNetConfig, shape: tuple[int, int, int]) -> None:
    """Checks that the configured UNet can be built for the images, and called."""
    require_halvings(shape[1], len(config.block_out_channels), "teacher.unet.block_out_channels")
    require_callable(lambda: build_unet(config, shape), shape, None, "teacher.unet")


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        raise StraightflowError(
            expected=f"a folder with a diffusers checkpoint at {path}", found="a file", mend="name its folder"
        )


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError as error:  # a name that is too long, or a folder on the way that may not be entered
        raise StraightflowError(
            expected=f"a teacher at {name[:80]!r}: an existing folder, or a hub id",
            found=one_line(error),
            mend="correct teacher.pretrained, or make its folder readable",
        ) from error


def _is_path(name: str) -> bool:
    """Whether a name that does not exist was meant as a path: hub ids are ``name`` or ``owner/name``."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
