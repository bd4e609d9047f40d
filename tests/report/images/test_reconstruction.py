"""A run on latents in pixels, with known numbers: the autoencoder, the teacher, the couplings and the student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.small_image_results import COUPLINGS, COUPLINGS_FID, FID, MODELS, STUDENTS, write_run

from pipeline.config.graph import Headline
from pipeline.report.images.reconstruction import reconstruction_numbers, reconstruction_section
from pipeline.report.images.results import Results, load_results
from pipeline.report.images.summary import summary
from pipeline.system.errors import StraightflowError

HEADLINE = Headline("few_step", "round1")
MEASURED = {
    "num_images": 180,
    "mean_squared_error": 0.0125,
    "rows": [
        {"features": "classifier", "is_judge": False, "measured_by": "ab12", "reference": "train", "fid": 0.75,
         "fid_of_images": 0.5, "fid_to_images": 0.375},
        {"features": "classifier-residual", "is_judge": True, "measured_by": "cd34", "reference": "train", "fid": 7.5,
         "fid_of_images": 5.0, "fid_to_images": 3.5},
    ],
}  # fmt: skip


def results(root: Path, measured: object = MEASURED) -> Results:
    write_run(root)
    (root / "metrics/evaluate/autoencoder.json").write_text(json.dumps(measured))
    return load_results(root, MODELS, COUPLINGS, STUDENTS, reconstruction=True)


def rows_of(html: str) -> list[list[str]]:
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    lines = body.replace("</th>", "</td>").split("</tr>")[:-1]
    return [[cell.rpartition(">")[2] for cell in line.split("</td>")[:-1]] for line in lines]


def test_each_stage_is_shown_in_pixels_with_each_solver_of_the_teacher_at_its_best(tmp_path: Path) -> None:
    html = reconstruction_section(results(tmp_path), HEADLINE)
    few_step = FID["few_step", "euler"]
    assert rows_of(html) == [
        ["held-out images", "180", "0.50"],
        ["their reconstructions", "180", "0.75"],
        ["teacher, ddim, 16 steps", "5,000", f"{FID['teacher', 'ddim'][2]:.2f}"],
        ["teacher, unipc, 16 steps", "5,000", f"{FID['teacher', 'unipc'][2]:.2f}"],
        ["couplings@round1, unipc, 20 steps", "5,000", f"{COUPLINGS_FID:.2f}"],
        ["few_step, euler, 1 step", "5,000", f"{few_step[0]:.2f}"],
        ["few_step, euler, 4 steps", "5,000", f"{few_step[1]:.2f}"],
    ]
    assert "0.0125" in html


def test_the_summary_holds_the_autoencoder_and_the_teacher_beside_couplings_and_student(tmp_path: Path) -> None:
    found = results(tmp_path)
    numbers = reconstruction_numbers(found, HEADLINE)
    assert {key: value for key, value in numbers.items() if value is not None} == {
        "reconstruction_mean_squared_error": 0.0125,
        "heldout_images_fid": 0.5,
        "reconstruction_fid": 0.75,
        "teacher_fid": min(min(fids) for (model, _), fids in FID.items() if model == "teacher"),
        "judge_heldout_images_fid": 5.0,
        "judge_reconstruction_fid": 7.5,
    }
    assert summary(found, HEADLINE, {})["reconstruction_fid"] == 0.75


def test_a_run_on_pixels_has_no_such_section(tmp_path: Path) -> None:
    write_run(tmp_path)
    found = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS)
    assert reconstruction_section(found, HEADLINE) == ""
    assert reconstruction_numbers(found, HEADLINE) == {}


@pytest.mark.parametrize("changes", [{"num_images": 0}, {"mean_squared_error": -1.0}, {"unknown": 1}])
def test_what_is_no_measurement_is_refused_by_name(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(StraightflowError, match=r"autoencoder\.json as its stage writes it"):
        results(tmp_path, MEASURED | changes)
