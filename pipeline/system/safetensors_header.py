"""The header of a safetensors file: which tensors it says it holds, read without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from pipeline.system.whole_files import parse_json, require_file

_Count = Annotated[int, Field(ge=0, strict=True)]


@dataclass(frozen=True)
class TensorEntry:
    """One tensor.

    Attributes:
        dtype: As safetensors calls it: ``F32``, ``U8``, …
        shape: Its shape.
        data_offsets: Where its bytes begin and end, counted from the end of the header.
    """

    dtype: str
    shape: tuple[_Count, ...]
    data_offsets: tuple[_Count, _Count]


def read_header(path: Path) -> tuple[dict[str, TensorEntry], int]:
    """Tensors of a safetensors file by name, and where its data starts.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it has no whole header, or one that says something else.
    """
    require_file(path)
    with path.open("rb") as stream:
        size = path.stat().st_size
        header_bytes = int.from_bytes(stream.read(8), "little")
        if header_bytes > size - 8:
            raise ValueError(f"{size} bytes, too few for the header")
        content = parse_json(stream.read(header_bytes))
    if isinstance(content, dict):
        content.pop("__metadata__", None)
    return TypeAdapter(dict[str, TensorEntry]).validate_python(content), 8 + header_bytes
