"""What the stages of a run computed, and the totals of its models."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers.composition import of_latents
from helpers.html_page import Page
from helpers.small_image_results import COUPLINGS, FID, STUDENTS, run_config, write_compute, write_run
from PIL import Image

from pipeline.config.graph import Config
from pipeline.report.images.ledger import draw_quality_by_compute, ledger_section, quality_by_compute_figure
from pipeline.report.images.results import load_results
from pipeline.report.ledger import Ledger, load_ledger
from pipeline.report.report import write_report
from pipeline.system.compute import Compute
from pipeline.system.errors import StraightflowError

# Each of another power of ten, so that a sum shows what is in it.
COSTS = {
    "metrics/training/teacher.json": Compute(1, 1, 10, 0.5),
    "couplings/round1/cost.json": Compute(10, 0, 100, 0.25),
    "metrics/training/round1.json": Compute(100, 100, 1_000, 0.125),
    "metrics/training/few_step.json": Compute(1_000, 1_000, 10_000, 1.0),
    "metrics/evaluate/few_step.json": Compute(10_000, 0, 100_000, 2.0),
}


def run(root: Path, *, without: str | None = None, **teacher: object) -> tuple[Config, Ledger]:
    write_run(root)
    write_compute(root, {path: compute for path, compute in COSTS.items() if path != without})
    config = run_config()
    config = config.model_copy(update={"teacher": config.teacher.model_copy(update=teacher)})
    return config, load_ledger(root, config)


def figure_of(root: Path, ledger: Ledger) -> list[tuple[str, list[float], list[float]]]:
    axes = quality_by_compute_figure(load_results(root, list(FID_MODELS), COUPLINGS, STUDENTS).rows, ledger).axes[0]
    return [(str(line.get_label()), list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


FID_MODELS = dict.fromkeys(model for model, _ in FID)


def test_a_student_costs_its_training_its_start_its_couplings_and_their_teacher(tmp_path: Path) -> None:
    _, ledger = run(tmp_path)
    assert ledger.cost("teacher") == COSTS["metrics/training/teacher.json"]
    assert ledger.cost("round1") == Compute(111, 101, 1_110, 0.875)
    assert ledger.cost("few_step") == Compute(1_111, 1_101, 11_110, 1.875)
    assert {item.stage: item.compute for item in ledger.stages} == {
        "teacher": COSTS["metrics/training/teacher.json"],
        "couplings@round1": COSTS["couplings/round1/cost.json"],
        "student@round1": COSTS["metrics/training/round1.json"],
        "student@few_step": COSTS["metrics/training/few_step.json"],
        "evaluate@teacher": None,
        "evaluate@round1": None,
        "evaluate@few_step": COSTS["metrics/evaluate/few_step.json"],
    }


def test_decoding_of_latents_is_an_item_of_its_own_and_in_no_total(tmp_path: Path) -> None:
    config, before = run(tmp_path)
    decoding = {
        "couplings/round1/quality.json": Compute(50, 0, 500, 0.5),
        "metrics/evaluate/few_step.json": Compute(60, 0, 600, 0.25),
    }
    for name, compute in decoding.items():
        content = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps(content | {"decoding": asdict(compute)}))
    ledger = load_ledger(tmp_path, config)
    items = {item.stage: item.compute for item in ledger.stages[len(before.stages) :]}
    assert items == dict(
        zip(("assess@round1, decoding", "evaluate@few_step, decoding"), decoding.values(), strict=True)
    )
    assert (ledger.stages[: len(before.stages)], ledger.models) == (before.stages, before.models)
    assert Page(ledger_section(ledger, draw_quality_by_compute([], ledger)))
    assert ledger.summary() == {
        "total_flops_teacher": 10,
        "total_forward_equivalents_teacher": 1 + 2 * 1,
        "total_flops_round1": 1_110,
        "total_forward_equivalents_round1": 111 + 2 * 101,
        "total_flops_few_step": 11_110,
        "total_forward_equivalents_few_step": 1_111 + 2 * 1_101,
    }


def test_what_left_no_record_is_a_dash_and_no_zero(tmp_path: Path) -> None:
    _, ledger = run(tmp_path, without="couplings/round1/cost.json")
    assert ledger.cost("round1") is None
    assert ledger.cost("few_step") is None
    assert set(ledger.summary()) == {"total_flops_teacher", "total_forward_equivalents_teacher"}
    assert figure_of(tmp_path, ledger) == []
    rows = rows_of(tmp_path, ledger)
    assert rows["couplings@round1"] == rows["few_step"] == ["–"] * 5
    assert rows["teacher"] == ["1", "1", "3", "10", "0.5"]


def test_the_cost_of_a_pretrained_teacher_is_unknown_and_totals_begin_after_it(tmp_path: Path) -> None:
    _, ledger = run(tmp_path, without="metrics/training/teacher.json", pretrained="some/model")
    assert ledger.cost("teacher") is None
    assert ledger.cost("few_step") == Compute(1_110, 1_100, 11_100, 1.375)
    assert ledger.summary() == {
        "total_flops_round1_after_teacher": 1_100,
        "total_forward_equivalents_round1_after_teacher": 110 + 2 * 100,
        "total_flops_few_step_after_teacher": 11_100,
        "total_forward_equivalents_few_step_after_teacher": 1_110 + 2 * 1_100,
    }
    rows = rows_of(tmp_path, ledger)
    assert rows["teacher"] == ["unknown"] * 5
    assert rows["few_step"] == ["1,110", "1,100", "3,310", "1.11e+04", "1.4"]


def rows_of(root: Path, ledger: Ledger) -> dict[str, list[str]]:
    """Cells of the tables by their first column; of stages and models of one name those of the stage."""
    rows = load_results(root, list(FID_MODELS), COUPLINGS, STUDENTS).rows
    html = ledger_section(ledger, draw_quality_by_compute(rows, ledger))
    lines = [line for table in html.split("<tbody>")[1:] for line in table.partition("</tbody>")[0].split("</tr>")[:-1]]
    cells = [[cell.rpartition(">")[2] for cell in line.replace("</th>", "</td>").split("</td>")[:-1]] for line in lines]
    assert Page(html).all("img")
    return {name: values for name, *values in cells}


def test_the_figure_shows_each_students_few_steps_at_its_total(tmp_path: Path) -> None:
    _, ledger = run(tmp_path)
    # The teacher is no student, and 16 steps are not few.
    assert figure_of(tmp_path, ledger) == [
        ("round1", [1_110 / 1e12, 1_110 / 1e12], list(FID["round1", "euler"][:2])),
        ("few_step", [11_110 / 1e12, 11_110 / 1e12], list(FID["few_step", "euler"][:2])),
    ]


def test_the_report_has_the_totals_and_the_figure(tmp_path: Path) -> None:
    config, ledger = run(tmp_path)
    table, summary, folder = tmp_path / "few_step.csv", tmp_path / "summary.json", tmp_path / "report"
    write_report(tmp_path, config, table=table, summary=summary, folder=folder)
    assert ledger.summary().items() <= json.loads(summary.read_text()).items()
    assert Image.open(folder / "figures/quality_by_compute.png").size > (0, 0)
    assert "Total from the teacher to each model" in (folder / "index.html").read_text("utf-8")


def latent_run(root: Path, **autoencoder: object) -> Ledger:
    """As above, of latents: the autoencoder's training and the encoding have powers of ten of their own."""
    write_run(root)
    coding = {
        "metrics/training/autoencoder.json": Compute(100_000, 100_000, 10**6, 4.0),
        "metrics/training/autoencoder.encoding.json": Compute(10**6, 0, 10**7, 8.0),
    }
    write_compute(root, COSTS | coding)
    content = of_latents(run_config().model_dump(mode="json"), **autoencoder)
    return load_ledger(root, Config.model_validate(content))


def test_a_model_of_latents_costs_its_autoencoder_and_encoding_the_data(tmp_path: Path) -> None:
    ledger = latent_run(tmp_path)
    assert [item.stage for item in ledger.stages][:3] == ["autoencoder@data", "latents@data", "teacher"]
    assert ledger.cost("teacher") == Compute(1_100_001, 100_001, 11_000_010, 12.5)
    assert ledger.cost("few_step") == Compute(1_101_111, 101_101, 11_011_110, 13.875)
    assert "costs its autoencoder" in ledger_section(ledger, draw_quality_by_compute([], ledger))


def test_what_an_autoencoder_that_was_brought_along_took_is_unknown_and_in_no_total(tmp_path: Path) -> None:
    ledger = latent_run(tmp_path, source="some/folder", network=None, train=None)
    assert ledger.cost("teacher") == Compute(1_000_001, 1, 10_000_010, 8.5)
    assert "total_flops_teacher" in ledger.summary()
    html = ledger_section(ledger, draw_quality_by_compute([], ledger))
    assert "The autoencoder was brought along" in html
    assert "totals begin after it" not in html


@pytest.mark.parametrize("content", ["{}", '{"samples_forward": -1, "samples_backward": 0, "flops": 0, "seconds": 0}'])
def test_a_record_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    config, _ = run(tmp_path)
    (tmp_path / "couplings/round1/cost.json").write_text(content)
    with pytest.raises(StraightflowError, match=r"cost\.json as its stage writes it"):
        load_ledger(tmp_path, config)
