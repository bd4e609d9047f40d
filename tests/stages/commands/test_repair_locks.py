from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call, run

from pipeline.system.errors import StraightflowError
from stages.commands.repair_locks import repair_locks, require_whole_record

GRAPH = {"stages": {"one": {"cmd": "echo 1 > one", "outs": ["one"]}}}
HELD = {"write": {"/x/one": {"pid": 1, "cmd": "dvc repro"}}, "read": {"/x/in": [{"pid": 1, "cmd": "dvc repro"}]}}


@pytest.fixture
def lock(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")  # sent by a process that outlives `dvc init`
    bare_project(tmp_path, {}, GRAPH)
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("left", ["", json.dumps(HELD)[:20], "[]", "null", '{"write": 1}', "\0\0\0"])
def test_what_a_killed_dvc_left_is_moved_aside_and_dvc_runs_again(
    lock: Path, tmp_path: Path, left: str, capsys
) -> None:
    lock.write_text(left)
    if left == "":
        assert "JSON structure is corrupted" in call(tmp_path, "dvc", "repro", **OF_THIS_PROJECT).stderr
    repair_locks(tmp_path)
    assert "was cut short" in capsys.readouterr().err
    assert not lock.exists()
    assert lock.with_name("rwlock.damaged").read_text() == left
    if left == "":
        run(tmp_path, "dvc", "repro", **OF_THIS_PROJECT)
        assert (tmp_path / "one").read_text() == "1\n"


@pytest.mark.parametrize("content", [None, "{}", json.dumps(HELD)])
def test_a_lock_file_that_is_whole_stays(lock: Path, tmp_path: Path, content: str | None, capsys) -> None:
    if content is not None:
        lock.write_text(content)
    repair_locks(tmp_path)
    assert (lock.read_text() if lock.exists() else None) == content
    assert capsys.readouterr().err == ""


def test_nothing_is_touched_while_a_dvc_is_at_work(lock: Path, tmp_path: Path) -> None:
    lock.write_text("")
    program = tmp_path / "dvc"
    program.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    process = subprocess.Popen(
        [sys.executable, str(program)], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        with pytest.raises(StraightflowError, match=rf"process {process.pid}\n"):
            repair_locks(tmp_path)
        assert lock.read_text() == ""
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
    repair_locks(tmp_path)
    assert not lock.exists()


def test_make_repro_repairs_before_it_calls_dvc() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nrepro:")[2].partition("\n\n")[0]
    assert recipe.index("stages.commands.repair_locks") < recipe.index("dvc repro")
    done = call(ROOT, "stages.commands.repair_locks", **{"PATH": os.environ["PATH"]})
    assert done.returncode == 0


@pytest.mark.parametrize("last", [b"", b"s", b"schema: '2.0'\nstag", b"learning_r", b"gradient_clip"])
def test_a_record_that_was_cut_short_is_kept_and_its_way_back_told(tmp_path: Path, last: bytes) -> None:
    whole = (ROOT / "dvc.lock").read_bytes()
    cut = whole.index(last) + len(last)
    (tmp_path / "dvc.lock").write_bytes(whole)
    require_whole_record(tmp_path)
    (tmp_path / "dvc.lock").write_bytes(whole[:cut])
    for _ in range(2):  # the second call finds the copy
        with pytest.raises(StraightflowError, match=r"dvc\.lock\.damaged\n.*git checkout dvc\.lock"):
            require_whole_record(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "dvc.lock": whole[:cut],
        "dvc.lock.damaged": whole[:cut],
    }


def test_an_earlier_copy_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock.damaged").write_bytes(b"of another time")
    (tmp_path / "dvc.lock").write_bytes(b"\xff")
    with pytest.raises(StraightflowError, match=r"dvc\.lock\.damaged1\n"):
        require_whole_record(tmp_path)
    assert (tmp_path / "dvc.lock.damaged").read_bytes() == b"of another time"


def test_before_the_first_run_there_is_no_record(tmp_path: Path) -> None:
    require_whole_record(tmp_path)
    assert list(tmp_path.iterdir()) == []
