from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.command_line import printed, refusal, straightflow
from helpers.composition import composed
from helpers.recorded_run import recorded_run
from helpers.small_image_results import COUPLINGS, MODELS, STUDENTS, write_run
from helpers.small_point_results import point_row

from pipeline.report.few_step_csv import write_few_step_csv
from pipeline.report.images.results import load_results

FEW_STEP = Path("metrics/few_step.csv")


def test_images_are_shown_with_the_headline(project: Path) -> None:
    write_run(project)
    write_few_step_csv(FEW_STEP, load_results(project, MODELS, COUPLINGS, STUDENTS).rows)
    *_, headline, _, report = printed("show").splitlines()
    assert headline.startswith("One network evaluation reaches FID 5.0")
    assert report == f"report: {project.resolve() / 'report/index.html'}"


def test_results_of_other_settings_are_noted(project: Path) -> None:
    recorded_run(project)
    write_few_step_csv(FEW_STEP, load_results(project, MODELS, COUPLINGS, STUDENTS).rows)
    assert "note:" not in straightflow("show").stderr
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["students"]["few_step"]["seed"] += 1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    done = straightflow("show")
    assert done.exit_code == 0
    assert (
        "note: this may be of another run: students.few_step in params.yaml is not what student@few_step" in done.stderr
    )
    assert "One network evaluation" in done.stdout


def test_points_are_shown_by_their_own_measures(project: Path) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump(composed("preset=toy_smoke")))
    write_few_step_csv(FEW_STEP, [point_row("flow", "euler", 4, 4, distance=0.25)])
    shown = printed("show")
    assert "flow" in shown
    assert "0.25" in shown
    assert shown.splitlines()[-1] == f"report: {project.resolve() / 'report/index.html'}"


@pytest.mark.usefixtures("project")
def test_before_a_run_there_is_nothing_to_show() -> None:
    assert "metrics/few_step.csv" in refusal("show")
