from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.config.section import NonNegativeFloat, PositiveInt
from pipeline.system.array_files import read_arrays, read_notes
from pipeline.system.errors import StraightflowError
from pipeline.system.typed_content import NO_OTHER_KEYS, parse_lines, parse_typed, read_typed, require_possible


@dataclass(frozen=True)
class Part:
    __pydantic_config__ = NO_OTHER_KEYS

    share: NonNegativeFloat
    free: float = 0.0


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    count: PositiveInt = 1


GOOD = Whole((Part(0.5), Part(1.0, -2.0)), 3)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    path.write_text('{"parts": [{"share": 0.5}, {"share": 1, "free": -2}], "count": 3}')
    assert read_typed(path, Whole) == GOOD == require_possible(GOOD, "it")
    assert parse_lines([{"share": "0.5"}, {"share": "1", "free": "-2"}], Part) == GOOD.parts


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ('{"parts": [{"share": 0}, {"share": -1}]}', r"parts\.1\.share"),
        ('{"parts": [{"share": NaN}]}', r"parts\.0\.share"),
        ('{"parts": [{"share": 0, "free": NaN}]}', r"parts\.0\.free"),
        ('{"parts": [{"share": 0, "free": 1e999}]}', r"parts\.0\.free"),
        ('{"parts": [{"share": 0, "other": 1}]}', r"parts\.0\.other"),
        ('{"parts": [{"share": "0"}]}', r"parts\.0\.share"),
        ('{"parts": [{"share": true}]}', r"parts\.0\.share"),
        ('{"parts": [], "count": true}', "count"),
        ('{"parts": [], "count": 1.5}', "count"),
        ('{"parts": [], "count": 0}', "count"),
    ],
)
def test_a_field_that_cannot_be_is_named(content: str, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        parse_typed(content, Whole)


def test_who_writes_is_refused_what_who_reads_is() -> None:
    bad = replace(GOOD, parts=(Part(-1.0),))
    with pytest.raises(StraightflowError, match=r"numbers that can be in it(.|\n)*parts\.0\.share"):
        require_possible(bad, "it")
    with pytest.raises(StraightflowError, match=r"parts\.0\.free: nan"):
        require_possible(replace(GOOD, parts=(Part(1.0, float("nan")),)), "it")


def test_pipes_and_folders_are_no_files_of_arrays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_arrays, read_notes):
        with pytest.raises(OSError, match="pipe"):
            read(tmp_path / "pipe")
        with pytest.raises(IsADirectoryError):
            read(tmp_path)


def test_a_file_of_arrays_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    save_file({"x": np.zeros(1)}, path)
    assert read_notes(path) == {}
    save_file({"x": np.zeros(1)}, path, metadata={"model": "a"})
    assert read_notes(path) == {"model": "a"}
