"""The report of a run on images."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config, headline_of, rounds_before
from pipeline.config.taught_features import taught_features
from pipeline.report.contents import ReportContents
from pipeline.report.images.by_class import draw_class_grid, load_class_grid
from pipeline.report.images.ledger import draw_quality_by_compute
from pipeline.report.images.page import render_page
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples, require_samples_of
from pipeline.report.images.summary import summary
from pipeline.report.images.trajectories import load_trajectories
from pipeline.report.ledger import load_ledger
from pipeline.report.provenance import collect_provenance, parameters


def compose_report(root: Path, config: Config) -> ReportContents:
    """Reads what the run below ``root`` measured, and composes its report.

    Raises:
        StraightflowError: If an output is missing or not what its stage writes.
    """
    models = config.evaluate.models
    results = load_results(
        root, models, tuple(config.couplings), tuple(config.students), reconstruction=bool(config.latents)
    )
    cells, headline, rounds = load_samples(root, models), headline_of(config), rounds_before(config)
    require_samples_of(results, cells, root)
    ledger = load_ledger(root, config)
    pictures = draw_pictures(results, cells, headline) | {
        "quality_by_compute": draw_quality_by_compute(results.rows, ledger)
    }
    grid = load_class_grid(root, results, headline.student)
    if grid is not None:
        pictures["classes"] = draw_class_grid(grid)
    page = render_page(
        results,
        cells,
        load_trajectories(root, models, headline, results.data.channels),
        headline,
        rounds,
        _exact_steps(config),
        tuple(name for name in models if taught_features(config, name)),
        ledger,
        pictures,
        collect_provenance(root),
        parameters(config),
    )
    return ReportContents(results.rows, summary(results, headline, rounds) | ledger.summary(), pictures, page)


def _exact_steps(config: Config) -> dict[str, int]:
    """Measured students that are for one number of steps, and which."""
    measured = {name: student for name, student in config.students.items() if name in config.evaluate.models}
    return {name: steps for name, student in measured.items() if (steps := student.method.exact_steps) is not None}
