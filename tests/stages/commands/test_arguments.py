"""Arguments that cannot be right: each ends with one message before anything is read at length or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from helpers.command_line import refusal
from helpers.composition import composed
from helpers.small_unet import small_unet

from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.student import save_student
from pipeline.system.fingerprint import fingerprint_folder

LONG = 300 * "x"
GRID = ("--out", "grid.png")
POINTS = "points/params.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a teacher, a student that has company, and things that are neither."""
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_text(yaml.safe_dump(composed("preset=smoke", "compute.precision=fp32")))
    (root / "points").mkdir()
    (root / POINTS).write_text(yaml.safe_dump(composed("preset=toy_smoke")))
    save_student(small_unet(), root / "models/round1")
    save_teacher(small_unet(), root / "models/teacher", training_scheduler())
    save_student(small_unet(), root / "noted")
    (root / "noted/notes.txt").write_text("the only copy")
    (root / "file").write_text("")
    os.mkfifo(root / "pipe.png")
    (root / "link.png").symlink_to("nowhere")
    for name in ("folder/sub", "folder.png", "couplings/round1/store"):
        (root / name).mkdir(parents=True)
    (root / "couplings/round1/store/manifest.json").write_text("{}")
    for name, content in {"empty": "", "binary": "\0,\xff\n\0\0", "endless": 140_000 * "x"}.items():
        (root / name / "metrics").mkdir(parents=True)
        (root / name / "metrics/few_step.csv").write_bytes(content.encode("latin-1"))
    return root


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("smaple",), ["No such command 'smaple'", "'sample'"]),
        (("show", "more"), ["unexpected extra argument", "more"]),
        (("check", "--now"), ["No such option: --now"]),
        (("sample", "round1"), ["Missing option '--out'"]),
        (("sample", "round1", *GRID, "--num", "0"), ["'--num'", "greater than or equal to 1"]),
        (("sample", "round1", *GRID, "--num", "2.5"), ["'--num'", "valid integer"]),
        (("sample", "round1", *GRID, "--steps", "0"), ["'--steps'", "greater than or equal to 1"]),
        (("sample", "round1", *GRID, "--batch-size", "-1"), ["'--batch-size'", "greater than or equal to 1"]),
        (("sample", "round1", *GRID, "--seed", "-1"), ["'--seed'", "greater than or equal to 0"]),
        (("sample", "round1", *GRID, "--seed", str(2**64)), ["'--seed'", f"less than or equal to {2**64 - 1}"]),
        (("sample", "rond1", *GRID), ["'rond1'", "did you mean 'round1'", "teacher"]),
        (("sample", LONG, *GRID), ["File name too long"]),
        (("sample", "folder", *GRID), ["unet/config.json", "folder"]),
        (("sample", "round1", *GRID, "--solver", "eulr"), ["did you mean 'euler'"]),
        (("sample", "round1", *GRID, "--solver", "unipc"), ["'unipc'", "euler, heun"]),
        (("sample", "teacher", *GRID, "--solver", "rk4"), ["'rk4'", "unipc, dpmpp_2m"]),
        (("sample", "round1", *GRID, "--grid", "cosin"), ["did you mean 'cosine'"]),
        (
            ("sample", "round1", *GRID, "--grid", "quadratic", "--solver", "heun"),
            ["'quadratic'", "uniform, cosine, edm"],
        ),
        (("sample", "teacher", *GRID, "--grid", "edm", "--solver", "heun"), ["'edm'", "uniform, quadratic"]),
        (("sample", "teacher", *GRID, "--grid", "quadratic", "--trajectory"), ["'quadratic'", "a trajectory"]),
        (("sample", "round1", *GRID, "--solver", "dopri5", "--trajectory"), ["'dopri5'", "a trajectory"]),
        (("sample", "round1", *GRID, "--solver", "dopri5", "--steps", "4"), ["--steps with dopri5"]),
        (("sample", "round1", *GRID, "--solver", "dopri5", "--grid", "edm"), ["--grid with dopri5"]),
        (("sample", "round1", *GRID, "--tolerance", "1e-3"), ["--tolerance with euler"]),
        (
            ("sample", "round1", *GRID, "--solver", "dopri5", "--tolerance", "0"),
            ["greater than or equal to", "--tolerance"],
        ),
        (
            ("sample", "round1", *GRID, "--solver", "dopri5", "--tolerance", "nan"),
            ["less than or equal to 1", "--tolerance"],
        ),
        (("sample", "round1", "--out", "grid.jpg"), ["'grid.jpg'", ".png", ".gif with --trajectory"]),
        (("sample", "round1", "--out", "grid.GIF"), ["'grid.GIF'", ".gif with --trajectory"]),
        (("sample", "round1", "--out", "grid"), ["'grid'", "ends in .png"]),
        (("sample", "round1", "--out", "grid.jpg", "--trajectory"), ["'grid.jpg'", "ends in .png or .gif"]),
        (("sample", "round1", "--out", "folder"), ["'folder'", "a folder with --files"]),
        (("sample", "round1", "--out", ".."), ["'..'", "a folder with --files"]),
        (("sample", "round1", "--out", ""), ["'--out'", "empty argument"]),
        (("sample", "round1", "--out="), ["'--out'", "empty argument"]),
        (("sample", "", *GRID), ["empty argument"]),
        (("sample", "round1", *GRID, "--solver", ""), ["'--solver'", "empty argument"]),
        (("sample", "round1", *GRID, "--solver="), ["'--solver'", "empty argument"]),
        (("sample", "round1", *GRID, "--grid", " "), ["'--grid'", "empty argument"]),
        (("sample", "round1", *GRID, "--seed", "1.0"), ["'--seed'", "'1.0' is not a valid integer"]),
        (("sample", "round1", *GRID, "--seed=1e3"), ["'--seed'", "'1e3' is not a valid integer"]),
        (("sample", "round1", *GRID, "--num", "1_0"), ["'--num'", "'1_0' is not a valid integer"]),
        (("sample", "round1", *GRID, "--steps", " 2"), ["'--steps'", "' 2' is not a valid integer"]),
        (("sample", "round1", *GRID, "--batch-size", "\u0663"), ["'--batch-size'", "is not a valid integer"]),
        (("sample", "round1", *GRID, "--steps", "1000001"), ["'--steps'", "1000000"]),
        (("checkpoints", "round1", "--steps", "1.0"), ["'--steps'", "'1.0' is not a valid integer"]),
        (("checkpoints", "round1", "--num-samples", "True"), ["'--num-samples'", "is not a valid integer"]),
        (("checkpoints", "round1", "--out", ""), ["'--out'", "empty argument"]),
        (("checkpoints", ""), ["empty argument"]),
        (("compare", "", "HEAD"), ["empty argument"]),
        (("compare", "HEAD", ""), ["empty argument"]),
        (("inspect", ""), ["empty argument"]),
        (("compose", ""), ["empty argument"]),
        (("compose", "smoke", "-S", ""), ["'-S'", "empty argument"]),
        (("compose", "smoke", "--set="), ["'--set'", "empty argument"]),
        (("sample", "round1", "--out", "folder.png"), ["a folder at folder.png"]),
        (("sample", "round1", "--out", "pipe.png"), ["a pipe, a socket or a device at pipe.png"]),
        (("sample", "round1", "--out", "link.png"), ["a link to nothing at link.png"]),
        (
            ("sample", "round1", *GRID, "--solver", "dopri5", "--tolerance", "1e-300"),
            ["greater than or equal to", "--tolerance"],
        ),
        (("sample", "round1", "--out", "file/grid.png"), ["file, which is a file"]),
        (("sample", "round1", "--out", "file", "--files"), ["file, which is a file"]),
        (("sample", "round1", "--out", f"{LONG}.png"), ["File name too long"]),
        (("sample", "round1", "--out", "new", "--files", "--trajectory"), ["--files or --trajectory"]),
        (("compare", "HEAD"), ["Missing argument 'b'"]),
        (("compare", "HEAD", "no-such-revision"), ["metrics/few_step.csv"]),
        (("compare", "file", "file"), ["metrics/few_step.csv", "'file'"]),
        (("compare", LONG, "HEAD"), ["File name too long"]),
        (("compare", "empty", "empty"), ["a table without rows"]),
        (("compare", "binary", "empty"), ["binary/metrics/few_step.csv", "Field required"]),
        (("compare", "endless", "empty"), ["endless/metrics/few_step.csv", "field larger"]),
        (("inspect", "couplings/rond1"), ["did you mean 'couplings/round1'"]),
        (("inspect", "round1"), ["did you mean 'couplings/round1'"]),
        (("inspect", "folder"), ["no manifest.json in folder"]),
        (("inspect", "file"), ["no manifest.json in file"]),
        (("inspect", LONG), ["File name too long"]),
        (("inspect", "couplings/round1"), ["a manifest of version"]),
        (("checkpoints", "rond1"), ["did you mean 'round1'", "few_step"]),
        (("checkpoints", "teacher"), ["'teacher'", "few_step, round1, round2"]),
        (("checkpoints", "round1", "--steps", "4", "--steps", "0"), ["'--steps'", "greater than or equal to 1"]),
        (("checkpoints", "round1", "--num-samples", "0"), ["'--num-samples'", "greater than or equal to 1"]),
        (("checkpoints", "round1", "--out", "models"), ["nothing at models", "round1, teacher"]),
        (("checkpoints", "round1", "--out", "models/new/.."), ["nothing at models/new/..", "round1, teacher"]),
        (("checkpoints", "round1", "--out", "."), ["nothing at .", "binary, couplings, empty, …"]),
        (("checkpoints", "round1", "--out", "models/teacher"), ["nothing at models/teacher", "would not have written"]),
        (("checkpoints", "round1", "--out", "noted"), ["nothing at noted", "notes.txt"]),
        (("checkpoints", "round1", "--out", "folder"), ["nothing at folder", "with sub"]),
        (("checkpoints", "round1", "--out", "file"), ["nothing at file", "a file"]),
        (("checkpoints", "round1", "--out", "file/new"), ["file, which is a file"]),
        (("checkpoints", "round1", "--out", LONG), ["File name too long"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_refused_and_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(folder)
    before = fingerprint_folder(folder)
    message = refusal(*arguments)
    assert [word for word in words if word not in message] == [], message
    assert fingerprint_folder(folder) == before


def test_checkpoints_of_points_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir((folder / POINTS).parent)
    assert "points, data.source: bimodal_1d" in refusal("checkpoints", "round1")
