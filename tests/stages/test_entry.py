from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.composition import composed
from helpers.project_folders import ROOT

from pipeline.system.leftovers import clear_leftovers
from stages import entry, paths

KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.system.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITTEN = (
    "inputs/data.json",
    "inputs/code/student.json",
    "metrics/summary.json",
    "metrics/training/round1.csv",
    "couplings/round1/gate.json",
    "samples/round1.safetensors",
    "report/index.html",
    "runs/couplings-0123456789abcdef/shard-000000.safetensors",
    "runs/couplings-0123456789abcdef/shard-000000.safetensors.json",
)


def test_a_stage_clears_what_killed_ones_left_wherever_stages_write(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in WRITTEN:
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)], cwd=ROOT, check=False)
    assert len([item for item in tmp_path.rglob("*") if item.is_file()]) == len(WRITTEN)
    for folder in paths.written():
        clear_leftovers(folder)
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == []


def test_no_stage_starts_on_the_older_layout_and_the_message_says_what_to_write(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    older = composed("preset=smoke") | {"distill": {"couplings": "round1", "num_steps": 5}}
    Path("params.yaml").write_text(yaml.safe_dump(older))
    with pytest.raises(SystemExit) as ended:
        entry.run(lambda *_: pytest.fail("the stage started"))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error\nexpected: the sections couplings, students and headline in params.yaml\n")
    assert "distilled:\n      couplings: round1\n      num_steps: 5\n      method: {name: fixed_steps}" in told
    assert told.endswith("headline: distilled\n")


def test_ctrl_c_ends_with_one_line_and_the_code_of_a_shell(capsys) -> None:
    with pytest.raises(SystemExit) as ended, entry.one_message():
        raise KeyboardInterrupt
    assert ended.value.code == 130  # 128 and the number of SIGINT
    assert capsys.readouterr().err.strip().splitlines() == [
        "interrupted; what was finished is kept: run the same command again to go on"
    ]
