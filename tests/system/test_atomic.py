from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.other_disk import mount

from pipeline.system.atomic import atomic_file, atomic_folder, publish_folder, write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.leftovers import clear_leftovers, temporary_beside
from pipeline.system.replacing import holding_only

OURS = holding_only("weights")


def write(path: Path, text: str) -> None:
    with atomic_folder(path, ours=OURS) as temporary:
        (temporary / "weights").write_text(text)


@pytest.mark.parametrize("before", ["absent", "empty", "ours", "missing parents"])
def test_a_folder_takes_the_place_of_nothing_and_of_its_like(tmp_path: Path, before: str) -> None:
    path = tmp_path / ("a/b/model" if before == "missing parents" else "model")
    if before in ("empty", "ours"):
        path.mkdir()
    if before == "ours":
        (path / "weights").write_text("old")
    write(path, "new")
    assert (path / "weights").read_text() == "new"
    assert [item.name for item in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("before", ["file", "other file inside", "other folder inside", "hidden file inside"])
def test_what_somebody_else_made_is_never_replaced(tmp_path: Path, before: str) -> None:
    path, mine = tmp_path / "model", tmp_path / "model"
    if before != "file":
        path.mkdir()
        (path / "weights").write_text("old")
        mine = path / {"other file inside": "photo.png", "other folder inside": "trip/1.png"}.get(before, ".notes")
        mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(StraightflowError, match=r"move it elsewhere"):
        write(path, "new")
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(StraightflowError, match=r"move it elsewhere"):
        publish_folder(source, path, ours=OURS)
    assert mine.read_text() == "mine"


def test_without_saying_what_is_ours_nothing_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    with pytest.raises(StraightflowError), atomic_folder(tmp_path / "model"):
        pass
    assert (tmp_path / "model/weights").read_text() == "old"


def test_a_link_is_followed_to_the_disk_it_names(tmp_path: Path, monkeypatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "model").symlink_to(scratch / "model")
    mount(monkeypatch, scratch)
    for text in ("first", "second"):
        write(tmp_path / "model", text)
        assert (scratch / "model/weights").read_text() == text
    assert (tmp_path / "model").is_symlink()


def test_a_failure_of_the_last_step_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "model", "old")
    replace = os.replace

    def refuse(source: Path, destination: Path) -> None:
        if str(source).endswith(".tmp"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        replace(source, destination)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        write(tmp_path / "model", "new")
    assert (tmp_path / "model/weights").read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def killed_while_writing(folder: Path, body: str) -> int:
    """Number of a process that was killed while it ran ``body`` with ``folder``."""
    script = f"""
import os, signal
from pathlib import Path
from pipeline.system.atomic import atomic_file, atomic_folder
from pipeline.system.replacing import holding_only
folder = Path({str(folder)!r})
{body}
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    assert process.wait() == -9
    return process.pid


KILLED_IN_FOLDER = """
with atomic_folder(folder / "model") as temporary:
    (temporary / "weights").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_IN_FILE = """
with atomic_file(folder / ("x" * 240)) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_IN_BETWEEN = """
replace = os.replace
def die(source, destination):
    if str(source).endswith(".tmp"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, destination)
os.replace = die
with atomic_folder(folder / "model", ours=holding_only("weights")) as temporary:
    (temporary / "weights").write_text("new")
"""


def test_what_killed_processes_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for body in (KILLED_IN_FOLDER, KILLED_IN_FILE):
        killed_while_writing(tmp_path, body)
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_file(tmp_path / "at work") as ours:
        ours.write_text("whole")
        dead = killed_while_writing(tmp_path, KILLED_IN_FOLDER)
        others = [f".model.{dead}.tmp", f".model.{dead}@elsewhere.straightflow.tmp", ".notes.tmp", "notes"]
        for name in others:
            (tmp_path / name).write_text("mine")
        clear_leftovers(tmp_path)
        assert sorted(item.name for item in tmp_path.iterdir()) == sorted([*others, ours.name])
    assert (tmp_path / "at work").read_text() == "whole"


def test_a_kill_between_the_two_renames_loses_no_finished_folder(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    killed_while_writing(tmp_path, KILLED_IN_BETWEEN)
    assert not (tmp_path / "model").exists()
    clear_leftovers(tmp_path)
    assert (tmp_path / "model/weights").read_text() == "old"
    write(tmp_path / "model", "new")
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_names_as_long_as_a_file_system_takes_are_written(tmp_path: Path) -> None:
    first, second = tmp_path / ("x" * 254 + "1"), tmp_path / ("x" * 254 + "2")
    assert temporary_beside(first) != temporary_beside(second)
    write_json(first, 1)
    write_json(second, 2)
    assert (first.read_text(), second.read_text()) == ("1\n", "2\n")
