"""The report of a run on images or on points, and its description for the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from helpers.composition import composed
from helpers.imports import modules_imported
from helpers.small_image_results import run_config, write_run
from helpers.small_point_results import point_model, point_row
from PIL import Image
from safetensors.numpy import save_file

from pipeline.config.graph import Config
from pipeline.config.noise import STANDARD_NOISE
from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import Row, samples_key
from pipeline.report.few_step_csv import read_few_step_csv
from pipeline.report.points.figures import independent_paths
from pipeline.report.report import describe_run, write_report
from pipeline.system.errors import StraightflowError
from pipeline.toys.distributions import TOYS


def run_on_images(root: Path) -> Config:
    write_run(root)
    return run_config()


def run_on_points(root: Path) -> Config:
    """A flow that goes straight to the data, and couplings."""
    params = composed("preset=toy_smoke", "data.source=two_moons")
    params["evaluate"]["models"] = ["flow"]
    del params["couplings"]["round2"], params["students"]["round2"]
    couplings = {"rows": [asdict(point_row("couplings@round1", "dopri5-0.001", None, None))], "num_pairs": 300}
    couplings |= {"transport_cost_per_dim": 1.0, "source": "flow"}
    model = asdict(point_model("flow"))
    for path, content in (("couplings/round1/quality.json", couplings), ("metrics/evaluate/flow.json", model)):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(json.dumps(content))
    times = np.linspace(0, 1, 5, dtype=np.float32)
    paths = independent_paths(TOYS["two_moons"], STANDARD_NOISE, times, 300)
    cells = (("euler", 1), ("euler", 2), ("dopri5-0.001", None))
    ends = {samples_key(*cell): np.ascontiguousarray(paths[:, -1]) for cell in cells}
    (root / "samples").mkdir()
    save_file({"times": times, "trajectories": paths, **ends}, root / "samples/flow.safetensors")
    return Config.model_validate(params)


@pytest.mark.parametrize(
    ("make_run", "kind", "number", "words"),
    [
        (run_on_images, ImageRow, "few_step_1_fid", "One network evaluation reaches FID 5.0"),
        (run_on_points, PointRow, "flow_1_sliced_wasserstein", "which are 0.050 from each other"),
    ],
)
def test_every_file_of_the_report_is_written_and_its_table_described(
    make_run, kind: type[Row], number: str, words: str, tmp_path: Path
) -> None:
    config = make_run(tmp_path)
    table, summary, folder = tmp_path / "few_step.csv", tmp_path / "summary.json", tmp_path / "report"
    write_report(tmp_path, config, table=table, summary=summary, folder=folder)
    rows = read_few_step_csv(table, kind)
    assert [row.is_couplings for row in rows].count(True) == 1
    assert {row.model for row in rows if not row.is_couplings} == set(config.evaluate.models)
    assert number in json.loads(summary.read_text())
    pictures = sorted(folder.glob("figures/*"))
    assert pictures
    assert [Image.open(path).format for path in pictures] == [path.suffix[1:].upper() for path in pictures]
    page = (folder / "index.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert all(f">{name}</th>" in page for name in kind.columns())
    assert "$" not in page.partition("<pre")[0]  # every place of the templates is filled
    assert words in describe_run(config, table)


@pytest.mark.parametrize("measured", [True, False])
def test_students_of_one_number_of_steps_are_named_on_the_page(measured: bool, tmp_path: Path) -> None:
    params = run_on_images(tmp_path).model_dump(mode="json")
    params["students"]["round1"]["method"] = {"name": "fixed_steps", "num_steps": 2}
    params["evaluate"]["models"] = [name for name in params["evaluate"]["models"] if measured or name != "round1"]
    config, files = Config.model_validate(params), {"table": tmp_path / "t.csv", "summary": tmp_path / "summary.json"}
    write_report(tmp_path, config, **files, folder=tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text("utf-8")
    assert ("Trained for one number of steps only: round1 for 2." in page) == measured


def test_a_table_of_other_samples_than_the_configured_ones_is_refused(tmp_path: Path) -> None:
    config = run_on_points(tmp_path)
    table = tmp_path / "few_step.csv"
    write_report(tmp_path, config, table=table, summary=tmp_path / "summary.json", folder=tmp_path / "report")
    with pytest.raises(StraightflowError, match=r"few_step\.csv"):
        describe_run(Config.model_validate(composed("preset=smoke")), table)


def test_a_run_is_described_without_drawing_and_images_are_reported_without_networks(tmp_path: Path) -> None:
    params = run_on_images(tmp_path / "run").model_dump(mode="json")
    imported = modules_imported(
        f"""
        from pathlib import Path
        from pipeline.config.graph import Config
        from pipeline.report.report import write_report
        config, root = Config.model_validate({params!r}), Path({str(tmp_path / "run")!r})
        write_report(root, config, table=root / "table.csv", summary=root / "summary.json", folder=root / "report")
        """
    )
    assert imported.isdisjoint({"torch", "pipeline.toys", "pipeline.report.points"})
    described = modules_imported(
        f"""
        from pathlib import Path
        from pipeline.config.graph import Config
        from pipeline.report.report import describe_run
        print(describe_run(Config.model_validate({params!r}), Path({str(tmp_path / "run/table.csv")!r})))
        """
    )
    assert described.isdisjoint({"torch", "matplotlib", "pipeline.report.points"})
