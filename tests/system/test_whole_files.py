from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.system.errors import StraightflowError
from pipeline.system.file_errors import file_error
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.whole_files import parse_json, read_bytes, read_json, read_text
from pipeline.system.yaml_text import read_yaml


@pytest.mark.parametrize("read", [read_bytes, read_text, read_json, read_yaml, fingerprint_file])
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_what_blocks_or_has_no_end_is_refused_at_once(tmp_path: Path, read, kind: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    with pytest.raises(OSError, match="a pipe, a socket or a device") as caught:
        read(path)
    told = file_error(caught.value)
    assert isinstance(told, StraightflowError)
    assert str(path) in str(told)
    assert "a pipe, a socket or a device" in told.found


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"a": "\xc3\xa9"}')
    assert read_json(path) == {"a": "é"}
    assert read_text(path) == '{"a": "é"}'
    path.write_bytes(b"\xe9")
    with pytest.raises(ValueError, match="utf-8"):
        read_json(path)
    assert read_text(path, errors="replace") == "\ufffd"


def test_json_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "c": 2, "a": 1}}]', '{"a": 1, "\\u0061": 1}'])
def test_json_that_says_a_thing_twice_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="the key 'a' twice"):
        parse_json(text)
    assert parse_json('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
