"""Collects every measured cell into a table, the headline numbers, figures and one page."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.report.images.few_step_csv import write_few_step_csv
from pipeline.report.images.page import render_page
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import few_step_rows, load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.images.summary import summary
from pipeline.report.provenance import collect_provenance, parameters
from pipeline.system.atomic import atomic_file, write_json
from stages import paths
from stages.entry import run

HERE = Path()


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/few_step.csv, metrics/summary.json and report/ with the figures and index.html."""
    del arguments
    if config.data.is_points:
        from pipeline.report.points.page import write_point_report  # brings torch along, which images do without here

        write_point_report(HERE, config, table_path=paths.FEW_STEP, summary_path=paths.SUMMARY, folder=paths.REPORT)
        return
    results = load_results(HERE, config.evaluate.models, tuple(config.rounds))
    cells = load_samples(HERE, config.evaluate.models)
    pictures = draw_pictures(results, cells)
    page = render_page(results, cells, config.distill.couplings, pictures, collect_provenance(HERE), parameters(config))
    write_few_step_csv(paths.FEW_STEP, few_step_rows(results))
    write_json(paths.SUMMARY, summary(results, config.distill.couplings))
    for field in fields(pictures):
        _write(paths.REPORT / "figures" / f"{field.name}.png", getattr(pictures, field.name).light)
    _write(paths.REPORT / "index.html", page.encode())


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


if __name__ == "__main__":
    run(main)
