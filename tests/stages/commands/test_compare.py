from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.command_line import printed
from helpers.small_image_results import image_row

from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.report.runs import FEW_STEP

ROW = image_row()


def test_two_folders_are_compared_in_the_order_they_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # no configuration is needed
    write_few_step_csv(tmp_path / "first" / FEW_STEP, [ROW])
    write_few_step_csv(tmp_path / "second" / FEW_STEP, [replace(ROW, fid=4.0, fid_low=3.9, fid_high=4.1)])
    heading, cell = printed("compare", "first", "second").splitlines()
    assert heading.split() == ["cell", "first", "second", "B", "÷", "A"]
    expected = "few_step euler 1 (classifier, 5,000) 5.00 [4.50, 5.50] 4.00 [3.90, 4.10] 0.800 B better"
    assert cell.split() == expected.split()
