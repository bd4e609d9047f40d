"""Whether the teacher can be had, can be read and fits the images: decided from its configuration alone."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.models.diffusers_layout import (
    UNetFacts,
    locate,
    read_json,
    read_scheduler_config,
    require_shape,
    require_whole_weights,
    unet_facts,
)
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder
from pipeline.system.hub import cached_model, download_json, hub_revision

CONFIGS = ("unet/config.json", "config.json")


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
        StraightflowError: If the teacher is missing, unreadable, or of another shape than the images.
    """
    name = teacher.pretrained
    if teacher.unet is None:  # an mlp takes points of any dimension
        return {"pretrained": None, "fingerprint": None}
    shape = data.image_shape
    if name is None:
        _require_halvings(UNetFacts(shape, len(teacher.unet.block_out_channels)), "teacher.unet.block_out_channels")
        return {"pretrained": None, "fingerprint": None}
    if Path(name).exists():
        facts = _local_facts(Path(name))
        fingerprint = fingerprint_folder(Path(name))
    elif _is_path(name):
        raise StraightflowError(
            expected=f"a teacher at {name!r}: an existing folder, or a hub id",
            found="no such folder",
            mend="correct teacher.pretrained",
        )
    else:
        try:
            fingerprint = hub_revision("model", name)
        except StraightflowError:
            if previous.get("pretrained") == name:
                return previous
            cached = cached_model(name)
            if cached is None:
                raise
            facts, fingerprint = _local_facts(cached), cached.name
        else:
            facts = unet_facts(read_json(download_json(name, CONFIGS, fingerprint)), name)
    require_shape(facts.shape, shape, name)
    _require_halvings(facts, name)
    return {"pretrained": name, "fingerprint": fingerprint}


def _require_halvings(facts: UNetFacts, origin: str) -> None:
    """Checks that a UNet can halve its images as often as it must."""
    size, halvings = facts.shape[1], facts.num_levels - 1
    if size % 2**halvings:
        raise StraightflowError(
            expected=f"images whose side divides by {2**halvings}, since the {facts.num_levels} levels of {origin} "
            f"halve it {halvings} times",
            found=f"{size}×{size}",
            mend=f"give fewer levels, or images of {size + -size % 2**halvings}×{size + -size % 2**halvings} "
            "(data.resolution)",
        )


def _local_facts(folder: Path) -> UNetFacts:
    if not folder.is_dir():
        raise StraightflowError(
            expected=f"a folder with a diffusers checkpoint at {folder}", found="a file", mend="name its folder"
        )
    location = locate(folder, "unet", "config.json")
    read_scheduler_config(folder)
    facts = unet_facts(read_json(location / "config.json"), str(location / "config.json"))
    require_whole_weights(location)
    return facts


def _is_path(name: str) -> bool:
    """Whether a name that does not exist was meant as a path: hub ids are ``name`` or ``owner/name``."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
