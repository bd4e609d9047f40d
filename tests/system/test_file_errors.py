from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.system.atomic import write_json
from pipeline.system.file_errors import file_error, is_of_a_full_or_closed_disk
from stages.entry import one_message

CODES = ("ENOSPC", "EROFS", "EACCES", "EPERM", "EFBIG", "EMFILE", "ENAMETOOLONG", "ENOTDIR", "EISDIR", "EDQUOT", "EIO")


def said(action: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    """The one message that the program ends with."""
    with pytest.raises(SystemExit) as ended, one_message():
        action()
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error\nexpected: ")
    assert text.count("expected: ") == text.count("found: ") == text.count("mend: ") == 1
    assert "Traceback" not in text
    return text


def fail(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize("name", CODES)
def test_a_refusal_of_the_system_is_one_message_with_the_path(name: str, capsys) -> None:
    code = getattr(errno, name)
    text = said(fail(OSError(code, os.strerror(code), "/somewhere/runs/x.json")), capsys)
    assert "/somewhere/runs/x.json" in text
    assert f"found: {os.strerror(code)}\n" in text
    mends = {line for other in CODES for line in str(file_error(OSError(getattr(errno, other), "", "x"))).splitlines()}
    assert text.splitlines()[-1] in mends


def test_what_a_library_wraps_is_told_as_what_it_is(capsys) -> None:
    def wrapped() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/cache/x.arrow")
        except OSError as error:
            raise ValueError("generating the dataset failed") from error

    text = said(wrapped, capsys)
    assert "/cache/x.arrow" in text
    assert "No space left on device" in text


def test_two_paths_are_both_named(capsys) -> None:
    error = OSError(errno.EXDEV, os.strerror(errno.EXDEV), "/one/a", None, "/two/b")
    assert "/one/a and /two/b" in said(fail(error), capsys)


def test_errors_of_other_kinds_are_not_hidden() -> None:
    for error in (ValueError("x"), RuntimeError("shape mismatch"), KeyError("x")):
        assert file_error(error) is None
        with pytest.raises(type(error)), one_message():
            raise error


def test_only_errors_of_writing_say_nothing_of_the_input() -> None:
    for name in ("ENOSPC", "EROFS", "EFBIG", "EMFILE", "EDQUOT"):
        wrapped = ValueError("no images")
        wrapped.__cause__ = OSError(getattr(errno, name), "")
        assert is_of_a_full_or_closed_disk(wrapped)
    assert not is_of_a_full_or_closed_disk(FileNotFoundError(errno.ENOENT, ""))
    assert not is_of_a_full_or_closed_disk(ValueError("no images"))


def test_real_refusals(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert "File exists" in said(lambda: write_json(tmp_path / "file/x.json", 1), capsys)
    assert "Not a directory" in said((tmp_path / "file/x").read_text, capsys)
    assert "Is a directory" in said(lambda: write_json(tmp_path / "folder", 1), capsys)
    assert "File name too long" in said(lambda: (tmp_path / ("x" * 300)).write_text(""), capsys)
    assert str(tmp_path / "missing") in said((tmp_path / "missing").read_text, capsys)


@pytest.mark.parametrize("write", ["json", "safetensors", "torch"])
def test_files_that_grow_too_large(write: str, tmp_path: Path, capsys) -> None:
    values = torch.zeros(10_000)
    actions: dict[str, Callable[[], object]] = {
        "json": lambda: write_json(tmp_path / "x", "x" * 40_000),
        "safetensors": lambda: save_file({"x": values}, tmp_path / "x"),
        "torch": lambda: torch.save(values, tmp_path / "x"),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        text = said(actions[write], capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if write != "torch":  # torch does not say why
        assert "File too large" in text


def test_too_many_open_files(tmp_path: Path, capsys) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held, before[1]))
    try:
        streams = []

        def action() -> None:
            streams.extend((tmp_path / str(number)).open("w") for number in range(held + 1))

        with pytest.raises(SystemExit) as ended, one_message():
            action()
        for stream in streams:
            stream.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert "Too many open files" in text
    assert "ulimit -n" in text
