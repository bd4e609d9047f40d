from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.system.safetensors_header import TensorEntry, read_header


def test_a_header_says_where_tensors_are(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros((2, 3), dtype=np.float32)}, path, metadata={"format": "pt"})
    entries, start = read_header(path)
    assert entries == {"a": TensorEntry("F32", (2, 3), (0, 24))}
    assert start + 24 == path.stat().st_size


@pytest.mark.parametrize(
    "header",
    [
        b"[1, 2]",
        b"null",
        b"5",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": []}',
        b'{"a": {"dtype": "F32", "shape": null, "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": 5, "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1, 4]}}',
    ],
)
def test_a_header_that_says_something_else_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        read_header(path)


def test_a_header_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes((99).to_bytes(8, "little") + json.dumps({}).encode())
    with pytest.raises(ValueError, match="too few for the header"):
        read_header(path)
