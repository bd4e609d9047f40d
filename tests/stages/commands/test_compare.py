from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.command_line import printed, refusal
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


def test_several_runs_are_compared_with_the_first_and_written_on_one_page(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, fid in (("a", 5.0), ("b", 4.0), ("c", 6.0)):
        write_few_step_csv(tmp_path / name / FEW_STEP, [replace(ROW, fid=fid, fid_low=fid, fid_high=fid)])
    lines = printed("compare", "a", "b", "c", "--page", "new/runs.html").splitlines()
    assert [line.split()[1:3] for line in lines if line.startswith("cell")] == [["a", "b"], ["a", "c"]]
    assert [line.split()[-2:] for line in lines if "few_step" in line] == [["B", "better"], ["A", "better"]]
    assert lines[-1] == "page: new/runs.html"
    page = (tmp_path / "new/runs.html").read_text("utf-8")
    assert "B: b against A: a: 1 cell better, 0 worse" in page
    assert "C: c against A: a: 0 cells better, 1 worse" in page


def test_no_page_is_written_over_something_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_few_step_csv(tmp_path / "a" / FEW_STEP, [ROW])
    (tmp_path / "notes.html").write_text("mine")
    for page, words in (("notes.html", "another file"), ("runs.txt", "ends in .html"), ("a.html/b.html", "a file and")):
        (tmp_path / "a.html").write_text("")
        message = refusal("compare", "a", "a", "--page", page)
        assert words in message
        assert "--page" in message
    assert (tmp_path / "notes.html").read_text() == "mine"
