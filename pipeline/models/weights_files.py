"""The files of a network's weights, as diffusers picks them, judged by their headers alone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from pipeline.models.diffusers_layout import read_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.safetensors_header import TensorEntry, read_header

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SHARDED_WEIGHTS = "diffusion_pytorch_model.safetensors.index.json"
FLOAT_TYPES = ("F16", "BF16", "F32", "F64")


def require_whole_weights(folder: Path) -> None:
    """Checks that a network's weights are there, whole and of one saving, without reading a tensor.

    Raises:
        StraightflowError: If a file is missing, cut off or unreadable, holds other than real numbers, or an index of
            shards does not say what the shards hold.
    """
    present = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    index = folder / SHARDED_WEIGHTS
    if index.is_file():
        _require_true_index(index, [path for path in present if path.suffix == ".safetensors"])
        return
    if not present:
        raise wrong_weights(str(folder), "neither")
    for path in present:
        if path.suffix == ".bin":
            _require_whole_archive(path)
        else:
            tensors_in(path)


def has_weights(folder: Path) -> bool:
    """Whether weights lie in a folder or one below it, whole or not; a copy of the hub may be of its settings alone."""
    return any(path.name in (*WEIGHTS, SHARDED_WEIGHTS) for path in folder.rglob("diffusion_pytorch_model*"))


def has_safetensors(folder: Path) -> bool:
    """Whether the weights are read from safetensors, which go before archives of torch's."""
    return any((folder / name).is_file() for name in (WEIGHTS[0], SHARDED_WEIGHTS))


def tensors_in(path: Path) -> dict[str, TensorEntry]:
    """The entries of a safetensors file's header, by tensor.

    Raises:
        StraightflowError: If the file is missing, cut off or unreadable, or holds other than floating-point numbers.
    """
    try:
        size = path.stat().st_size
        tensors, start = read_header(path)
    except (OSError, ValueError) as error:
        raise _broken(path, one_line(error)) from error
    end = start + max((entry.data_offsets[1] for entry in tensors.values()), default=0)
    if size != end:
        raise _broken(path, f"{size} bytes instead of {end}")
    require_real_numbers({name: entry.dtype for name, entry in tensors.items()}, str(path))
    return tensors


def require_real_numbers(dtypes: Mapping[str, str], origin: str) -> None:
    """Checks the types of tensors, as safetensors calls them, by the names of the tensors.

    Raises:
        StraightflowError: If one is not a floating-point type.
    """
    for name, dtype in dtypes.items():
        if dtype not in FLOAT_TYPES:
            raise StraightflowError(
                expected=f"floating-point weights ({', '.join(FLOAT_TYPES)}) in {origin}",
                found=f"{dtype} in {name}",
                mend="save the model without quantisation, or name another one",
            )


def wrong_weights(origin: str, found: str) -> StraightflowError:
    """The error for a model without a file of weights."""
    return StraightflowError(
        expected=f"a file of weights, {' or '.join(WEIGHTS)}, in {origin}",
        found=found,
        mend="copy or download the whole model again, or name another one",
    )


def _require_true_index(index: Path, whole: list[Path]) -> None:
    if whole:
        raise StraightflowError(
            expected=f"weights in {index.parent} either in one file or in shards with an index",
            found=f"both, {whole[0].name} and {index.name}; one of them is older or newer",
            mend="keep those that were saved last, and move the others to another folder",
        )
    content = read_json(index)
    listed = content.get("weight_map")
    if not isinstance(listed, dict) or not all(_is_plain_name(name) for name in listed.values()):
        raise StraightflowError(
            expected=f"a weight_map in {index} that names for each tensor a file in the same folder",
            found=str(listed)[:80],
            mend="save the model again, or download it again",
        )
    if not isinstance(content.get("metadata"), dict):  # diffusers writes into it
        raise StraightflowError(expected=f"a section metadata in {index}", found="none", mend="save the model again")
    held = {(tensor, name) for name in set(listed.values()) for tensor in tensors_in(index.parent / name)}
    differing = held ^ set(listed.items())
    if differing:
        tensor, name = min(differing)
        where = "only in the file" if (tensor, name) in held else "only in the index"
        raise StraightflowError(
            expected=f"an index {index} that lists exactly the tensors of its shards",
            found=f"{tensor} of {name} {where}, {len(differing)} such in all",
            mend="copy the index and the shards again, all from the same save, or name another model",
        )


def _require_whole_archive(path: Path) -> None:
    # torch wrote its own archive before 1.6; both formats load, only the newer one can be checked cheaply.
    try:
        with path.open("rb") as stream:
            start = stream.read(2)
        cut_off = start == b"PK" and not zipfile.is_zipfile(path)
    except OSError as error:
        raise _broken(path, one_line(error)) from error
    if not start:
        raise _broken(path, "no bytes")
    if cut_off:
        raise _broken(path, "a truncated archive")
    for name, values in _archived(path, in_place=start == b"PK").items():
        if not isinstance(values, torch.Tensor) or not values.is_floating_point() or values.layout != torch.strided:
            kind = f"{values.layout} {values.dtype}" if isinstance(values, torch.Tensor) else type(values).__name__
            raise StraightflowError(
                expected=f"tensors of real numbers by their names in {path}",
                found=f"{kind} in {name!s:.80}",
                mend="save the network's state_dict alone, without quantisation, or name another checkpoint",
            )


def _archived(path: Path, *, in_place: bool) -> dict[object, object]:
    """What an archive of torch's holds by name, with the values left in the file if they can be; no code of it runs."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=in_place)
    except Exception as error:  # files of any content reach torch
        raise _broken(path, one_line(error)) from error
    if not isinstance(content, dict):
        raise _broken(path, f"{type(content).__name__} instead of tensors by name")
    return content


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _broken(path: Path, problem: str) -> StraightflowError:
    return StraightflowError(
        expected=f"a complete file of weights at {path}", found=problem, mend="copy or download it again"
    )
