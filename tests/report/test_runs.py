from __future__ import annotations

import subprocess
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
from helpers.small_image_results import image_row
from helpers.small_point_results import point_row

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.report.runs import FEW_STEP, comparison_table, load_run
from pipeline.system.errors import MOST_PROBLEMS, StraightflowError

ROW = image_row()
COUPLINGS = replace(ROW, model="couplings@round1", solver="dopri5", num_steps=None, nfe=None, seconds_per_1000=None)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_runs_are_read_from_folders_and_from_revisions(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "metrics").mkdir()
    for fid in (5.0, 4.0):
        write_few_step_csv(tmp_path / FEW_STEP, [image_row(fid=fid, fid_low=fid, fid_high=fid), COUPLINGS])
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", "run")
    assert (
        load_run(str(tmp_path), Path())
        == load_run("HEAD", tmp_path)
        == (
            image_row(fid=4.0, fid_low=4.0, fid_high=4.0),
            COUPLINGS,
        )
    )
    assert load_run("HEAD~1", tmp_path)[0].fid == 5
    git(tmp_path, "update-ref", "refs/exps/ab/cdef/brave-noise", "HEAD~1")
    assert load_run("brave-noise", tmp_path) == load_run("HEAD~1", tmp_path)
    with pytest.raises(StraightflowError, match="no-such-revision"):
        load_run("no-such-revision", tmp_path)


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (image_row(fid=4.0, fid_low=3.9, fid_high=4.1), "B better"),
        (image_row(fid=6.0, fid_low=5.9, fid_high=6.1), "A better"),
        # The interval of the ratio reaches sqrt(0.1² + 0.02²) = 0.102 from its logarithm, log(4.6 / 5) is -0.083.
        (image_row(fid=4.6, fid_low=0.98 * 4.6, fid_high=1.02 * 4.6), "no significant difference"),
        (image_row(fid=1.0, fid_low=None, fid_high=None), "spread unknown"),
        (image_row(fid=0.0, fid_low=0.0, fid_high=0.0), "not comparable: a FID that is not above 0"),
        (image_row(fid=1.0, features="inception-clean"), "not comparable: other features"),
        # The same images under another classifier of the same name.
        (image_row(fid=1.0, measured_by="cd34"), "not comparable: other measured_by"),
        (image_row(fid=1.0, num_samples=100, reference="heldout"), "not comparable: other reference, num_samples"),
    ],
)
def test_cells_are_judged_by_spread_and_only_under_one_measure(other: ImageRow, verdict: str) -> None:
    lines = comparison_table("A", [ROW], "B", [other]).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("distilled euler 1 (classifier, 5,000)")
    assert lines[1].endswith(verdict)


def test_cells_of_one_run_alone_are_named() -> None:
    text = comparison_table("A", [ROW], "B", [ROW, COUPLINGS])
    assert text.splitlines()[-1] == "only in B: couplings@round1 dopri5 adaptive (classifier, 5,000)"


def test_a_run_on_points_is_told_from_a_damaged_table(tmp_path: Path) -> None:
    write_few_step_csv(tmp_path / FEW_STEP, [point_row("flow", "euler", 1, 1)])
    with pytest.raises(StraightflowError, match="points"):
        load_run(str(tmp_path), Path())
    (tmp_path / FEW_STEP).write_text("model,solver\nflow,euler\n")
    with pytest.raises(StraightflowError, match="Field required"):
        load_run(str(tmp_path), Path())


def test_a_table_without_rows_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / FEW_STEP).write_text(",".join(ImageRow.columns()) + "\n")
    with pytest.raises(StraightflowError, match="a table without rows"):
        load_run(str(tmp_path), Path())


def test_bytes_that_are_no_text_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / FEW_STEP).write_bytes(b"\xff\xfe\x00,\n\x80\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "run")
    for name, repository in ((str(tmp_path), Path()), ("HEAD", tmp_path)):
        with pytest.raises(StraightflowError, match="Field required"):
            load_run(name, repository)


def test_of_many_damaged_fields_a_message_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / FEW_STEP).write_text("model,solver\n" + 5 * "flow,euler\n")
    missing = 5 * (sum(field.default is MISSING for field in fields(ImageRow)) - 2)
    with pytest.raises(StraightflowError, match=f"and {missing - MOST_PROBLEMS} more") as caught:
        load_run(str(tmp_path), Path())
    assert caught.value.found.count("Field required") == MOST_PROBLEMS
