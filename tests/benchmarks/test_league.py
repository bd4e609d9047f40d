"""The page and the figure of a league, from a run's files with made-up numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.composition import composed
from helpers.small_image_results import image_row, write_compute
from PIL import Image

from benchmarks.league import entries, write_league
from benchmarks.league_figure import league_figure
from pipeline.config.loading import load_config
from pipeline.metrics.image_row import ImageRow
from pipeline.report.few_step_csv import read_few_step_csv, write_few_step_csv
from pipeline.report.ledger import load_ledger
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError

# By classifier, at one step and at two. The second recipe is better at two steps alone, in one of whose seeds.
FIDS = {"a_1": (10.0, 8.0), "a_2": (14.0, 9.0), "b_1": (20.0, 6.0), "b_2": (30.0, 8.5)}


def settings() -> dict[str, Any]:
    """Recipe a from the teacher and b from round1, each from two seeds."""
    params = composed("preset=smoke")
    round1 = params["students"]["round1"]
    del params["couplings"]["round2"], params["gate"]["drift_allowed"]
    params["students"] = {"round1": round1} | {
        "a_1": round1 | {"num_steps": 30, "seed": 1},
        "a_2": round1 | {"num_steps": 30, "seed": 2},
        "b_1": round1 | {"init": "round1", "method": {"name": "fixed_steps", "num_steps": 2}, "seed": 1},
        "b_2": round1 | {"init": "round1", "method": {"name": "fixed_steps", "num_steps": 2}, "seed": 2},
    }
    params["headline"] = "a_1"
    params["evaluate"] |= {"models": ["teacher", "a_1", "a_2", "b_1", "b_2"], "num_samples": 5000}
    params["evaluate"] |= {"headline": {"num_steps": [1, 2], "num_samples": 10000}}
    return params


def rows() -> list[ImageRow]:
    """By the judge a hundredth of the FID by the classifier; an interval of a tenth either way."""
    found = []

    def put(fid: float, **cell: Any) -> None:
        for features, is_judge, factor in (("classifier", False, 1.0), ("classifier-residual", True, 0.01)):
            of = {"fid": factor * fid, "fid_low": 0.9 * factor * fid, "fid_high": 1.1 * factor * fid}
            found.append(image_row(features=features, is_judge=is_judge, **of, **cell))

    put(5.0, model="couplings@round1", solver="unipc", num_steps=4, nfe=None, seconds_per_1000=None)
    put(300.0, model="teacher", solver="ddim", num_steps=1, nfe=1)
    put(200.0, model="teacher", solver="unipc", num_steps=1, nfe=1)
    for model, fids in FIDS.items():
        for steps, fid in zip((1, 2), fids, strict=True):
            put(fid, model=model, num_steps=steps, nfe=steps)
    put(1.0, model="a_1", num_steps=1, nfe=1, num_samples=10000)  # of more images, which compares with nothing
    put(1.0, model="a_1", solver="heun", num_steps=1, nfe=2)  # another solver
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings()))
    (tmp_path / "metrics").mkdir()
    write_few_step_csv(tmp_path / "metrics/few_step.csv", rows())
    costs = {"teacher": Compute(1_000_000, 1_000_000, 0, 9.0), "round1": Compute(100_000, 100_000, 0, 3.0)}
    costs |= {name: Compute(400_000, 300_000, 0, 50.0) for name in ("a_1", "a_2")}
    costs |= {"b_1": Compute(200_000, 150_000, 0, 20.0), "b_2": Compute(200_000, 150_000, 0, 30.0)}
    write_compute(tmp_path, {f"metrics/training/{name}.json": cost for name, cost in costs.items()})
    write_compute(tmp_path, {"couplings/round1/cost.json": Compute(500_000, 0, 0, 7.0)})
    return tmp_path


def cells_of(page: str, name: str, features: str) -> list[str]:
    section = next(part for part in page.split("\n## ") if part.split(",")[0].split("\n")[0] == features)
    line = next(line for line in section.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_has_every_recipe_with_its_seeds_and_costs(run: Path) -> None:
    write_league(run, run / "docs/league.md")
    page = (run / "docs/league.md").read_text("utf-8")
    # Mean, smallest, largest; half of an interval that reaches a tenth either way, of FIDs 10 and 14 the median.
    # Compute: 3 for the teacher, 0.5 for the couplings, 0.4 + 0.6 for the training.
    assert cells_of(page, "a", "classifier") == [
        "a", "reflow from teacher", "2", "**12.00** (10.00 to 14.00; ± 1.20)", "8.50 (8.00 to 9.00; ± 0.85)", "–", "–",
        "4.5", "50",
    ]  # fmt: skip
    # b's total has round1's 0.3, and its seconds round1's 3.
    assert cells_of(page, "b", "classifier")[2:] == [
        "2", "25.00 (20.00 to 30.00; ± 2.50)", "**7.25** (6.00 to 8.50; ± 0.73)", "–", "–", "4.3", "28",
    ]  # fmt: skip
    assert cells_of(page, "a", "classifier-residual")[3] == "**0.120** (0.100 to 0.140; ± 0.012)"
    # The teacher's best solver, and couplings, which are of every number of steps; neither is the best.
    assert cells_of(page, "teacher", "classifier")[3:5] == ["200 (± 20)", "–"]
    assert cells_of(page, "couplings@round1", "classifier")[3:7] == ["5.00 (± 0.50)"] * 4
    assert "at 4.5 million forward-equivalents or less" in page
    assert "\n| round1 " not in page  # not measured


def test_the_page_says_who_is_best_where_and_what_seeds_do_not_tell(run: Path) -> None:
    write_league(run, run / "league.md")
    *_, conclusions = (run / "league.md").read_text("utf-8").split("\n## ")
    assert conclusions.splitlines()[2:] == [
        "- 1 step: **a** by classifier; **a** by the judge.",
        "- 2 steps: **b** by classifier (seeds overlap with a); **b** by the judge (seeds overlap with a).",
    ]


def test_the_figure_is_beside_the_page_and_has_means_and_bands(run: Path) -> None:
    write_league(run, run / "league.md")
    assert "](league.png)" in (run / "league.md").read_text("utf-8")
    assert np.asarray(Image.open(run / "league.png").convert("L")).std() > 1
    config = load_config(run / "params.yaml")
    found = entries(config, read_few_step_csv(run / "metrics/few_step.csv", ImageRow), load_ledger(run, config))
    by_classifier, by_judge = league_figure(found).axes
    lines = {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in by_classifier.lines}
    assert lines["a"] == ([1, 2], [12.0, 8.5])
    assert lines["couplings@round1"] == ([1, 2, 4, 8], [5.0] * 4)
    band = by_classifier.collections[list(lines).index("b")].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (6.0, 30.0)
    assert "judge" in by_judge.get_title()


def test_what_left_no_record_has_no_compute(run: Path) -> None:
    (run / "metrics/training/a_2.json").unlink()
    write_league(run, run / "league.md")
    assert cells_of((run / "league.md").read_text("utf-8"), "a", "classifier")[-2:] == ["–", "–"]


def test_a_run_that_measured_no_student_is_refused(run: Path) -> None:
    write_few_step_csv(run / "metrics/few_step.csv", [row for row in rows() if row.model == "teacher"])
    with pytest.raises(StraightflowError, match=r"(?s)students measured by euler at 5000 images.*none in"):
        write_league(run, None)


def test_points_are_refused_by_their_table(run: Path) -> None:
    (run / "params.yaml").write_text(yaml.safe_dump(composed("preset=toy_smoke")))
    (run / "metrics/few_step.csv").write_text("model,solver,num_steps,nfe,sliced_wasserstein\nflow,euler,1,1,0.5\n")
    with pytest.raises(StraightflowError, match=r"few_step\.csv"):
        write_league(run, None)
