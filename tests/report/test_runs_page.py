"""Several runs on one page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.html_page import HOSTILE, Page
from helpers.small_image_results import COUPLINGS, FID, MODELS, NUM_NOISES, SIZE, STUDENTS, image_row, write_run

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.runs import FEW_STEP, compare_cells, load_run, load_run_samples
from pipeline.report.runs_page import MOST_RUNS, Run, count_verdicts, render_runs_page, write_runs_page
from pipeline.system.errors import StraightflowError

IMAGES = 3  # of each run and student: the teacher's best, and 1 and 4 steps


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_run(tmp_path)
    rows = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).rows
    return Run("first", rows, load_samples(tmp_path, MODELS))


def scaled(rows: tuple[ImageRow, ...], factor: float, **changes: object) -> tuple[ImageRow, ...]:
    """The rows with FIDs of the few_step model, and their intervals, times ``factor``."""
    own = {"fid": lambda row: row.fid, "fid_low": lambda row: row.fid_low, "fid_high": lambda row: row.fid_high}
    return tuple(
        replace(row, **{name: factor * read(row) for name, read in own.items()}, **changes)
        if row.model == "few_step"
        else row
        for row in rows
    )


def headlines(page: str) -> list[str]:
    return re.findall(r'<p class="headline">(.*?)</p>', page)


def test_every_run_is_judged_against_the_first(run: Run) -> None:
    cells = len(FID) * 3 + 1  # and the couplings
    page = render_runs_page(
        [
            run,
            replace(run, name="half", rows=scaled(run.rows, 0.5)),
            replace(run, name="twice", rows=scaled(run.rows, 2)),
        ]
    )
    assert headlines(page) == [
        f"B: half against A: first: 3 cells better, 0 worse, {cells - 3} without significant difference.",
        f"C: twice against A: first: 0 cells better, 3 worse, {cells - 3} without significant difference.",
    ]
    tables = page.split("<details>")[1:]
    assert [table.count(">A better<") for table in tables] == [0, 3]
    assert [table.count(">B better<") for table in tables] == [3, 0]
    assert [table.count(">C better<") for table in tables] == [0, 0]
    assert ">few_step · euler</th><td>B: half</td>" in page


def test_the_page_shows_the_images_of_runs_that_have_any_and_needs_nothing_else(run: Run) -> None:
    page = render_runs_page([run, replace(run, name=HOSTILE, cells=())])
    images = Page(page).all("img")
    assert sum(image["class"] == "panel" for image in images if "class" in image) == IMAGES * len(STUDENTS)
    assert page.count("All from the same noises. No images beside the table of B: &lt;script&gt;") == len(STUDENTS)
    assert page.index("Images of few_step") < page.index("Images of round1")  # FID 5 and 18 at one step
    assert HOSTILE not in page
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", page)
    assert "Parameters" not in page
    assert "Images of" not in render_runs_page([replace(run, cells=()), replace(run, cells=())])


def test_a_long_name_ends_as_it_did_and_is_whole_below(run: Run) -> None:
    name = "/a/folder/" + 100 * "x" + "/seed1"
    page = render_runs_page([run, replace(run, name=name)])
    assert "B: …xxx" in headlines(page)[0]
    assert "/seed1 against A: first: " in headlines(page)[0]
    assert page.count(name) == 1


def test_images_of_other_noises_are_said_to_be(run: Run) -> None:
    other = replace(run, rows=tuple(replace(row, seed=7) for row in run.rows))
    assert "Runs differ in the seed of their noises" in render_runs_page([run, other])
    assert "All from the same noises" not in render_runs_page([run, other])


def test_fids_that_do_not_compare_share_no_curve(run: Run) -> None:
    other = replace(run, name="other", rows=scaled(run.rows, 0.5, measured_by="cd34"))
    page = render_runs_page([run, other])
    assert page.count("Not drawn where FIDs do not compare: B: other.") == 1
    assert headlines(page)[0].endswith("3 not comparable.")
    values = re.findall(r'<div class="values[^>]*><b>1 step</b><dl>(.*?)</dl>', page)
    assert ["other" in found for found in values] == [False, True]  # few_step, round1


def test_what_is_of_unknown_spread_is_neither_better_nor_alike() -> None:
    row = image_row()
    assert count_verdicts(compare_cells([row], [image_row(fid=1.0, fid_low=None, fid_high=None)])) == (
        "0 cells better, 0 worse, 0 without significant difference, 1 of unknown spread"
    )
    assert count_verdicts(compare_cells([row], [image_row(fid=1.0, fid_low=1.0, fid_high=1.0)])).startswith("1 cell ")


def test_only_a_page_of_this_kind_is_replaced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    write_runs_page(path, [run, run])
    write_runs_page(path, [run, replace(run, name="second")])
    assert "B: second" in path.read_text("utf-8")
    path.write_text("<p>notes</p>")
    with pytest.raises(StraightflowError, match="another file"):
        write_runs_page(path, [run, run])
    assert path.read_text() == "<p>notes</p>"
    with pytest.raises(StraightflowError, match=f"at most {MOST_RUNS}"):
        write_runs_page(tmp_path / "new.html", [run] * (MOST_RUNS + 1))


def test_samples_of_a_run_are_those_of_its_table(run: Run, tmp_path: Path) -> None:
    write_few_step_csv(tmp_path / FEW_STEP, run.rows)
    rows = load_run(str(tmp_path), Path())
    cells = load_run_samples(str(tmp_path), rows)
    assert {cell.images.shape for cell in cells} == {(NUM_NOISES, 1, SIZE, SIZE)}
    assert len(cells) == len(FID) * 3
    assert load_run_samples("HEAD", rows) == ()
    with pytest.raises(StraightflowError, match=r"few_step\.safetensors"):
        load_run_samples(str(tmp_path), [row for row in rows if row.cell != ("few_step", "euler", 4)])
    (tmp_path / "samples/few_step.safetensors").unlink()
    assert {cell.model for cell in load_run_samples(str(tmp_path), rows)} == {"teacher", "round1"}
    (tmp_path / "samples/round1.safetensors").write_bytes(b"damaged")
    with pytest.raises(StraightflowError, match=r"round1\.safetensors"):
        load_run_samples(str(tmp_path), rows)
