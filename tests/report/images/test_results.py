from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.small_image_results import (
    COUPLINGS_FID,
    FID,
    MODELS,
    ROUNDS,
    SIZE,
    STEPS,
    row,
    write_run,
)
from safetensors.numpy import load_file, save_file

from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv, write_few_step_csv
from pipeline.report.images.comparisons import compare
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import Results, load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.images.summary import headline, summary, text_table
from pipeline.report.images.viewer import viewer
from pipeline.system.errors import StraightflowError


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_run(tmp_path)
    return load_results(tmp_path, MODELS, ROUNDS)


def test_the_csv_holds_every_cell_and_leaves_what_is_unknown_empty(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "few_step.csv"
    write_few_step_csv(path, results.rows)
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert tuple(lines[0]) == ImageRow.columns()
    assert ",".join(ImageRow.columns()[:10]) == (
        "model,solver,num_steps,nfe,fid,features,num_samples,reference,seed,seconds_per_1000"
    )
    assert {line["nfe"] for line in lines} == {"", *map(str, STEPS)}
    read = {(line["model"], line["solver"], int(line["num_steps"])): float(line["fid"]) for line in lines}
    expected = {(*key, steps): fid for key, fids in FID.items() for steps, fid in zip(STEPS, fids, strict=True)}
    assert read == expected | {("couplings@round1", "unipc", 20): COUPLINGS_FID}
    assert lines[0]["nfe"] == lines[0]["seconds_per_1000"] == ""
    assert read_few_step_csv(path, ImageRow) == results.rows


def test_the_summary_divides_the_cells_it_names(results: Results) -> None:
    teacher, distilled = FID["teacher", "ddim"][2], FID["distilled", "euler"][0]
    expected = {
        "distilled_1_fid": distilled,
        "distilled_1_seconds_per_1000": 0.125,
        "couplings_fid": COUPLINGS_FID,
        "teacher_ddim_16_fid": teacher,
        "distilled_1_over_teacher_ddim_16": distilled / teacher,
        "distilled_1_over_couplings": distilled / COUPLINGS_FID,
        "round1_4_over_teacher_ddim_16": FID["round1", "euler"][1] / teacher,
        "teacher_unipc_16_over_ddim_16": FID["teacher", "unipc"][2] / teacher,
        **{f"straightness_normalised_{model}": 0.25 for model in MODELS},
    }
    numbers = summary(results, "round1")
    assert numbers == pytest.approx(expected)
    assert "FID 5.00: 0.62 times the teacher’s at 16 DDIM steps (8.00) and 2.00 times" in headline(
        results.rows, "round1"
    )


def test_a_difference_inside_the_spread_is_never_a_win(results: Results) -> None:
    def rows_with_std(std: float) -> list[ImageRow]:
        return [replace(row, fid_std=std) for row in results.rows]

    # 5 against 8: the difference of 3 has the spread sqrt(2) times that of either, of which two are needed.
    apart, alike = rows_with_std(1.0), rows_with_std(1.1)
    assert "0.62 times the teacher’s" in headline(apart, "round1")
    assert "within the spread of the teacher’s at 16 DDIM steps (8.00)" in headline(alike, "round1")
    verdicts = {comparison.key: comparison.verdict for comparison in compare(alike, "round1")}
    assert verdicts["distilled_1_over_teacher_ddim_16"] == "0.62, within the spread"
    assert verdicts["round1_4_over_teacher_ddim_16"] == "0.50"


def test_a_ratio_without_its_cell_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path)
    results = load_results(tmp_path, ["round1"], ROUNDS)
    numbers = summary(results, "round1")
    assert set(numbers) == {"couplings_fid", "straightness_normalised_round1"}
    assert "not measured" in headline(results.rows, "round1")


def test_the_text_table_aligns_and_marks_missing_cells(results: Results) -> None:
    rows = [cell for cell in results.rows if (cell.model, cell.num_steps) != ("round1", 4)]
    lines = text_table(rows).splitlines()
    assert "classifier features · 5,000 samples · against the train split · seed 0" in lines[0]
    assert lines[2].split() == ["model", "solver", "1", "4", "16"]
    assert ["round1", "euler", "18.0", "-", "3.00"] in [line.split() for line in lines]
    assert len({len(line) for line in lines[2:8]}) == 1
    assert lines[-1] == "couplings@round1 (unipc, 20 steps): 2.50"


def test_an_adaptive_solver_has_its_own_column_place_and_viewer_position(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = tmp_path / "metrics/evaluate/round1.json"
    content = json.loads(path.read_text())
    content["rows"].append(row("round1", "dopri5-0.001", 16, 3.5, num_steps=None, nfe=26.4, nfe_std=1.2))
    path.write_text(json.dumps(content))
    samples = tmp_path / "samples/round1.safetensors"
    grids = load_file(samples)
    save_file(grids | {"dopri5-0.001/adaptive": grids["euler/1"]}, samples)
    results, cells = load_results(tmp_path, MODELS, ROUNDS), load_samples(tmp_path, MODELS)
    lines = [line.split() for line in text_table(results.rows).splitlines()]
    assert ["model", "solver", "1", "4", "16", "adaptive"] in lines
    assert ["round1", "dopri5-0.001", "-", "-", "-", "3.50"] in lines
    table = tmp_path / "few_step.csv"
    write_few_step_csv(table, results.rows)
    assert read_few_step_csv(table, ImageRow) == results.rows
    page = viewer(cells, {("round1", "dopri5-0.001", None): 3.5})
    assert 'data-steps="1,4,16,adaptive"' in page
    assert "adaptive, FID 3.50" in page
    assert draw_pictures(results, cells)["quality_by_seconds"].light.startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [None, "{", '{"model": "round1"}', '{"model": "round1", "rows": [{"fid": "x"}]}'])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: str | None) -> None:
    write_run(tmp_path)
    path = tmp_path / "metrics/evaluate/round1.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(StraightflowError, match=r"round1\.json"):
        load_results(tmp_path, MODELS, ROUNDS)


def test_samples_keep_the_order_of_models_and_refuse_unequal_grids(tmp_path: Path) -> None:
    write_run(tmp_path)
    cells = load_samples(tmp_path, MODELS)
    assert [(cell.model, cell.solver, cell.num_steps) for cell in cells] == [
        (*key, steps) for key in FID for steps in STEPS
    ]
    save_file({"euler/1": np.zeros((2, 1, SIZE, SIZE), np.uint8)}, tmp_path / "samples/distilled.safetensors")
    with pytest.raises(StraightflowError, match="one shape"):
        load_samples(tmp_path, MODELS)
