from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.small_image_results import (
    COUPLINGS,
    COUPLINGS_FID,
    FID,
    MODELS,
    SIZE,
    STEPS,
    STUDENTS,
    image_row,
    row,
    write_run,
)
from safetensors.numpy import load_file, save_file

from pipeline.config.graph import Headline
from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv, write_few_step_csv
from pipeline.report.images.answer import answer_section, find_answer
from pipeline.report.images.comparisons import compare, equal_evaluations, rank_correlation
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import Results, load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.images.summary import headline_sentence, summary, text_table
from pipeline.report.images.viewer import viewer
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError

HEADLINE = Headline("few_step", "round1")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_run(tmp_path)
    return load_results(tmp_path, MODELS, COUPLINGS, STUDENTS)


def test_the_csv_holds_every_cell_and_leaves_what_is_unknown_empty(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "few_step.csv"
    write_few_step_csv(path, results.rows)
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert tuple(lines[0]) == ImageRow.columns()
    assert {line["nfe"] for line in lines} == {"", *map(str, STEPS)}
    read = {(line["model"], line["solver"], int(line["num_steps"])): float(line["fid"]) for line in lines}
    expected = {(*key, steps): fid for key, fids in FID.items() for steps, fid in zip(STEPS, fids, strict=True)}
    assert read == expected | {("couplings@round1", "unipc", 20): COUPLINGS_FID}
    assert lines[0]["nfe"] == lines[0]["seconds_per_1000"] == ""
    assert read_few_step_csv(path, ImageRow) == results.rows


def test_the_summary_divides_the_cells_it_names(results: Results) -> None:
    # Of two distances whose intervals reach a tenth either way, the ratio's reaches sqrt(2) times that.
    reach = np.sqrt(2) * 0.1
    numbers = summary(results, HEADLINE, {})
    ratios = {"couplings": COUPLINGS_FID, "teacher_16": FID["teacher", "unipc"][2]}
    for steps, fid in zip((1, 4), FID["few_step", "euler"], strict=False):
        assert numbers[f"few_step_{steps}_fid"] == fid
        assert numbers[f"few_step_{steps}_fid_low"] == pytest.approx(0.9 * fid)
        for name, other in ratios.items():
            key = f"few_step_{steps}_over_{name}"
            assert numbers[key] == pytest.approx(fid / other)
            assert numbers[f"{key}_high"] == pytest.approx(fid / other * np.exp(reach))
            assert numbers[f"{key}_low"] == pytest.approx(fid / other * np.exp(-reach))
    assert numbers["couplings_fid"] == COUPLINGS_FID
    assert all(numbers[f"straightness_normalised_{model}"] == 0.25 for model in MODELS)
    # The teacher's best: 300 at 1, 60 at 4, 2 at 16 evaluations. 5 is log(60/5) of log(60/2) between the last two.
    expected = 4 * 4 ** (np.log(60 / 5) / np.log(60 / 2))
    assert numbers["few_step_1_equals_teacher_evaluations"] == pytest.approx(expected)
    sentence = headline_sentence(results.rows, HEADLINE)
    assert "FID 5.00 [4.50, 5.50], 2.00 [1.74, 2.30] times that of its couplings, as 11 evaluations" in sentence
    assert sentence.endswith("of its teacher do. At 4 evaluations it is 4.50.")


def test_the_headline_goes_on_with_the_curve_of_as_many_samples(results: Results) -> None:
    four = next(row for row in results.rows if row.cell == ("few_step", "euler", 4))
    further = [replace(four, num_steps=steps, nfe=steps, fid=fid) for steps, fid in ((2, 4.75), (8, 4.0), (3, 4.6))]
    assert headline_sentence([*results.rows, *further], HEADLINE).endswith(
        " At 2, 4, 8 evaluations it is 4.75, 4.50, 4.00."
    )
    others = [replace(row, num_samples=9 * row.num_samples) for row in further]
    assert headline_sentence([*results.rows, *others], HEADLINE).endswith(" At 4 evaluations it is 4.50.")
    alone = [row for row in results.rows if row.cell != four.cell]
    assert headline_sentence(alone, HEADLINE).endswith("as 11 evaluations of its teacher do.")


def with_reach(rows: Iterable[ImageRow], reach: float | None) -> list[ImageRow]:
    ends = [(None, None) if reach is None else (row.fid - reach * row.fid, row.fid + reach * row.fid) for row in rows]
    return [replace(row, fid_low=low, fid_high=high) for row, (low, high) in zip(rows, ends, strict=True)]


def test_a_difference_inside_the_interval_or_of_unknown_spread_is_never_a_win(results: Results) -> None:
    def verdict(reach: float | None) -> str:
        found = {item.key: item.verdict for item in compare(with_reach(results.rows, reach), HEADLINE)}
        return found["few_step_1_over_couplings"]

    # log(5 / 2.5) = 0.69, which is sqrt(2) · 0.49.
    assert verdict(0.48) == "2.00 [1.01, 3.94]"
    assert verdict(0.50) == "≈ 2.00 [0.99, 4.06]"
    assert verdict(None) == "2.00, spread unknown"


def test_cells_compare_at_the_most_samples_that_both_have_and_never_under_another_measure(results: Results) -> None:
    rows = list(results.rows)
    few_step = next(row for row in rows if row.cell == ("few_step", "euler", 1))
    store = next(row for row in rows if row.is_couplings)
    many = [replace(row, num_samples=60_000, fid=row.fid - 1) for row in (few_step, store)]
    other = [replace(row, num_samples=90_000, fid=9.0) for row in (few_step,)]

    def pairs(rows: list[ImageRow]) -> dict[str, tuple[int, int]]:
        found = compare(rows, HEADLINE)
        return {item.key: (item.numerator.num_samples, item.denominator.num_samples) for item in found}

    found = pairs([*rows, *many, *other])
    assert found["few_step_1_over_couplings"] == (60_000, 60_000)
    assert found["few_step_1_over_teacher_16"] == (5000, 5000)
    elsewhere = [replace(row, measured_by="cd34") if row.is_couplings else row for row in rows]
    assert "few_step_1_over_couplings" not in pairs(elsewhere)


def test_the_judge_ranks_the_same_cells(results: Results) -> None:
    assert rank_correlation(results.rows) is None
    judged = [replace(row, features="other", is_judge=True, measured_by="ef", fid=row.fid**2) for row in results.rows]
    assert rank_correlation([*results.rows, *judged]) == (1.0, len(results.rows))
    reversed_ranks = [replace(row, fid=1 / row.fid) for row in judged]
    assert rank_correlation([*results.rows, *reversed_ranks]) == (-1.0, len(results.rows))


def test_what_the_teacher_never_reaches_needs_more_than_was_measured(results: Results) -> None:
    row = next(row for row in results.rows if row.cell == ("few_step", "euler", 1))
    assert equal_evaluations(results.rows, replace(row, fid=1.0)) == np.inf
    assert equal_evaluations(results.rows, replace(row, fid=500.0)) == 1
    assert equal_evaluations(results.rows, replace(row, measured_by="other")) is None


def test_a_ratio_without_its_cell_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path)
    results = load_results(tmp_path, ["round1"], COUPLINGS, STUDENTS)
    numbers = summary(results, HEADLINE, {})
    assert set(numbers) == {
        "couplings_fid", "couplings_fid_low", "couplings_fid_high", "straightness_normalised_round1",
    }  # fmt: skip
    assert "not measured" in headline_sentence(results.rows, HEADLINE)


def test_the_text_table_aligns_and_marks_missing_cells(results: Results) -> None:
    rows = [cell for cell in results.rows if (cell.model, cell.num_steps) != ("round1", 4)]
    lines = text_table(rows).splitlines()
    assert "classifier features · 5,000 samples · against the train split · noise seed 0" in lines[0]
    assert lines[2].split() == ["model", "solver", "1", "4", "16"]
    assert ["round1", "euler", "18.0", "-", "3.00"] in [line.split() for line in lines]
    assert len({len(line) for line in lines[2:8]}) == 1
    assert lines[-1] == "couplings@round1 (unipc, 20 steps): 2.50 [2.25, 2.75]"


def test_an_adaptive_solver_has_its_own_column_place_and_viewer_position(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = tmp_path / "metrics/evaluate/round1.json"
    content = json.loads(path.read_text())
    content["rows"].append(row("round1", "dopri5-0.001", 16, 3.5, num_steps=None, nfe=26.4, nfe_std=1.2))
    path.write_text(json.dumps(content))
    samples = tmp_path / "samples/round1.safetensors"
    grids = load_file(samples)
    save_file(grids | {"dopri5-0.001/adaptive": grids["euler/1"]}, samples)
    results, cells = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS), load_samples(tmp_path, MODELS)
    lines = [line.split() for line in text_table(results.rows).splitlines()]
    assert ["model", "solver", "1", "4", "16", "adaptive"] in lines
    assert ["round1", "dopri5-0.001", "-", "-", "-", "3.50"] in lines
    table = tmp_path / "few_step.csv"
    write_few_step_csv(table, results.rows)
    assert read_few_step_csv(table, ImageRow) == results.rows
    page = viewer(cells, {("round1", "dopri5-0.001", None): 3.5})
    assert 'data-steps="1,4,16,adaptive"' in page
    assert "adaptive, FID 3.50" in page
    assert draw_pictures(results, cells, HEADLINE)["quality_by_seconds"].light.startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [None, "{", '{"model": "round1"}', '{"model": "round1", "rows": [{"fid": "x"}]}'])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: str | None) -> None:
    write_run(tmp_path)
    path = tmp_path / "metrics/evaluate/round1.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(StraightflowError, match=r"round1\.json"):
        load_results(tmp_path, MODELS, COUPLINGS, STUDENTS)


def test_samples_keep_the_order_of_models_and_refuse_unequal_grids(tmp_path: Path) -> None:
    write_run(tmp_path)
    cells = load_samples(tmp_path, MODELS)
    assert [(cell.model, cell.solver, cell.num_steps) for cell in cells] == [
        (*key, steps) for key in FID for steps in STEPS
    ]
    save_file({"euler/1": np.zeros((2, 1, SIZE, SIZE), np.uint8)}, tmp_path / "samples/few_step.safetensors")
    with pytest.raises(StraightflowError, match="one shape"):
        load_samples(tmp_path, MODELS)


def test_the_headline_of_a_student_that_was_trained_on_the_first_features_is_the_judges() -> None:
    taught = Headline("few_step", "round1", taught=("few_step",))
    first, judge = image_row(fid=3.0), image_row(fid=7.0, fid_low=6.0, fid_high=8.0, features="other", is_judge=True)
    sentence = headline_sentence([first, judge], taught)
    assert "FID 7.00 [6.00, 8.00]" in sentence
    assert sentence.endswith("These are FIDs by the judge: the first features are what the student was trained on.")
    alone = headline_sentence([first], taught)
    assert "FID 3.00" in alone
    assert alone.endswith("trained on these features, so its FIDs are lower than its images deserve.")
    assert headline_sentence([first, judge], HEADLINE).startswith("One network evaluation reaches FID 3.00")


def test_the_answer_of_such_a_student_is_the_judges() -> None:
    taught = Headline("few_step", "round1", taught=("few_step",))
    rows = [
        image_row(fid=fid, features=features, is_judge=features == "other", model=model, solver=solver)
        for model, solver, fids in (("few_step", "euler", (3.0, 7.0)), ("teacher", "unipc", (4.0, 5.0)))
        for features, fid in zip(("classifier", "other"), fids, strict=True)
    ]
    answer = find_answer(rows, taught)
    assert (answer.student.fid, answer.teacher.fid, answer.judged) == (7.0, 5.0, None)
    assert "by the judge, as the student was trained on the first features" in answer_section(rows, taught)
    assert find_answer(rows, HEADLINE).student.fid == 3.0


def test_the_time_of_decoding_is_for_each_thousand(tmp_path: Path) -> None:
    write_run(tmp_path)
    results = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS)
    decoding = Compute(samples_forward=4000, samples_backward=0, flops=1, seconds=6.0)
    models = tuple(replace(item, decoding=decoding) if item.model == "few_step" else item for item in results.models)
    decoded = replace(results, models=models)
    assert [decoded.decoding_per_1000(name) for name in ("few_step", "teacher", "none")] == [1.5, 0.0, 0.0]
