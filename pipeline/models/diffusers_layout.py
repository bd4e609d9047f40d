"""Where a diffusers checkpoint keeps its parts, and what its configuration says, without loading weights."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.safetensors_header import read_header
from pipeline.system.whole_files import read_json as read_value

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SHARDED_WEIGHTS = "diffusion_pytorch_model.safetensors.index.json"


def locate(folder: Path, part: str, config_name: str) -> Path:
    """Folder of a pipeline's part: its subfolder, or the root in the flat layout of older checkpoints."""
    for candidate in (folder / part, folder):
        if (candidate / config_name).is_file():
            return candidate
    raise StraightflowError(
        expected=f"a diffusers checkpoint with {part}/{config_name} or {config_name} in {folder}",
        found="neither file" if folder.is_dir() else "no such folder",
        mend="name a folder saved by DDPMPipeline.save_pretrained, or a hub id of one",
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; an error of the user's where it is not one."""
    try:
        content = read_value(path)
    except (OSError, ValueError) as error:
        raise StraightflowError(
            expected=f"JSON in {path}", found=one_line(error), mend="save the checkpoint again"
        ) from error
    if not isinstance(content, dict):
        raise StraightflowError(
            expected=f"a JSON object in {path}", found=type(content).__name__, mend="save the checkpoint again"
        )
    return content


def read_scheduler_config(folder: Path) -> dict[str, Any]:
    """Configuration of a saved pipeline's scheduler."""
    name = "scheduler_config.json"
    return read_json(locate(folder, "scheduler", name) / name)


@dataclass(frozen=True)
class UNetFacts:
    """What the configuration of a ``UNet2DModel`` says about its images.

    Attributes:
        shape: (channels, height, width).
        num_levels: Resolutions; the image is halved between them, so num_levels - 1 times.
    """

    shape: tuple[int, int, int]
    num_levels: int


def unet_facts(config: dict[str, Any], origin: str) -> UNetFacts:
    """Reads the facts from a UNet's config.json; ``origin`` names it in errors.

    Raises:
        StraightflowError: If it is not an unconditional or class-conditional ``UNet2DModel`` for square images.
    """
    kind = config.get("_class_name")
    if kind != "UNet2DModel":
        raise StraightflowError(
            expected=f"a UNet2DModel in {origin}", found=str(kind), mend="name a checkpoint of diffusers' DDPMPipeline"
        )
    channels, out_channels = config.get("in_channels", 3), config.get("out_channels", 3)
    if out_channels not in (channels, 2 * channels):
        raise StraightflowError(
            expected=f"{channels} output channels in {origin}, or {2 * channels} with a learned variance",
            found=str(out_channels),
            mend="name an unconditional model",
        )
    size = config.get("sample_size")
    height, width = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    if not isinstance(height, int) or height != width:
        raise StraightflowError(
            expected=f"a square sample_size in {origin}", found=str(size), mend="write the image size there"
        )
    levels = config.get("block_out_channels", (224, 448, 672, 896))  # the default of diffusers
    return UNetFacts((int(channels), height, width), len(levels))


def require_shape(found: tuple[int, ...], wanted: tuple[int, ...], name: str) -> None:
    """Checks that the teacher ``name`` makes images of the data's shape.

    Raises:
        StraightflowError: If it does not.
    """
    if found != wanted:
        raise StraightflowError(
            expected=f"a teacher of images (channels, height, width) = {wanted}, as the data has",
            found=f"{found} in {name}",
            mend="set data.channels and data.resolution to the teacher's, or name another teacher",
        )


def require_whole_weights(folder: Path) -> None:
    """Checks that a UNet's weights file is there and not truncated, by its header or directory alone.

    Raises:
        StraightflowError: If it is missing or cut off.
    """
    present = [name for name in WEIGHTS if (folder / name).is_file()]
    if not present and (folder / SHARDED_WEIGHTS).is_file():
        present = sorted(set(read_json(folder / SHARDED_WEIGHTS).get("weight_map", {}).values()))
    if not present:
        raise StraightflowError(
            expected=f"{' or '.join(WEIGHTS)} in {folder}", found="neither", mend="complete the checkpoint"
        )
    for name in present:
        problem = _why_broken(folder, name)
        if problem:
            raise StraightflowError(
                expected=f"whole weights in {folder / name}", found=problem, mend="copy or download the file again"
            )


def _why_broken(folder: Path, name: str) -> str | None:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        return "no such file"
    size = path.stat().st_size
    if path.suffix == ".bin":
        # torch wrote its own archive before 1.6; both formats load, only the newer one can be checked cheaply.
        with path.open("rb") as stream:
            is_archive = stream.read(2) == b"PK"
        return "a truncated archive" if is_archive and not zipfile.is_zipfile(path) else None if size else "no bytes"
    try:
        entries, start = read_header(path)
    except ValueError as error:
        return f"no readable header: {one_line(error)}"
    expected = start + max((entry.data_offsets[1] for entry in entries.values()), default=0)
    return None if size == expected else f"{size} bytes instead of {expected}"
