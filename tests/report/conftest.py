"""A page of a run with known numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.html_page import HOSTILE
from helpers.small_image_results import COUPLINGS, MODELS, STUDENTS, run_config, write_run

from pipeline.config.graph import Headline
from pipeline.report.images.ledger import draw_quality_by_compute
from pipeline.report.images.page import render_page
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.images.trajectories import load_trajectories
from pipeline.report.ledger import load_ledger
from pipeline.report.provenance import Provenance


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_run(tmp_path)
    results, cells = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS), load_samples(tmp_path, MODELS)
    ledger = load_ledger(tmp_path, run_config())
    headline = Headline("few_step", "round1")
    pictures = draw_pictures(results, cells, headline)
    pictures |= {"quality_by_compute": draw_quality_by_compute(results.rows, ledger)}
    provenance = Provenance("abc" + HOSTILE, "3.11", {"torch": "2.14"}, "a CPU", 2, "Linux")
    drawn = load_trajectories(tmp_path, MODELS, headline, channels=1)
    return render_page(results, cells, drawn, headline, {}, {}, (), ledger, pictures, provenance, {"note": HOSTILE})
