"""The report of a run on images."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config
from pipeline.report.contents import ReportContents
from pipeline.report.images.page import render_page
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples, require_samples_of
from pipeline.report.images.summary import summary
from pipeline.report.provenance import collect_provenance, parameters


def compose_report(root: Path, config: Config) -> ReportContents:
    """Reads what the run below ``root`` measured, and composes its report.

    Raises:
        StraightflowError: If an output is missing or not what its stage writes.
    """
    models, distilled_from = config.evaluate.models, config.distill.couplings
    results, cells = load_results(root, models, tuple(config.rounds)), load_samples(root, models)
    require_samples_of(results, cells, root)
    pictures = draw_pictures(results, cells)
    page = render_page(results, cells, distilled_from, pictures, collect_provenance(root), parameters(config))
    return ReportContents(results.rows, summary(results, distilled_from), pictures, page)
