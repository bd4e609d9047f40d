from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.command_line import printed

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.report.runs import FEW_STEP

ROW = ImageRow(
    model="distilled", solver="euler", num_steps=1, nfe=1, fid=5.0, features="classifier", num_samples=5000,
    reference="train", seed=0, seconds_per_1000=0.1, fid_std=0.1,
)  # fmt: skip


def test_two_folders_are_compared_in_the_order_they_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # no configuration is needed
    write_few_step_csv(tmp_path / "first" / FEW_STEP, [ROW])
    write_few_step_csv(tmp_path / "second" / FEW_STEP, [replace(ROW, fid=4.0)])
    heading, cell = printed("compare", "first", "second").splitlines()
    assert heading.split() == ["cell", "first", "second", "B", "÷", "A"]
    assert cell.split() == ["distilled", "euler", "1", "5.00", "4.00", "0.800", "B", "better"]
