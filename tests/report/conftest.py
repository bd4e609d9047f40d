"""A page of a run with known numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_page import HOSTILE
from test_results import MODELS, ROUNDS, write_run

from pipeline.report.page import render_page
from pipeline.report.pictures import draw_pictures
from pipeline.report.provenance import Provenance
from pipeline.report.results import load_results
from pipeline.report.samples import load_samples


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_run(tmp_path)
    results, cells = load_results(tmp_path, MODELS, ROUNDS), load_samples(tmp_path, MODELS)
    pictures = draw_pictures(results, cells)
    provenance = Provenance("abc" + HOSTILE, "3.11", {"torch": "2.14"}, "a CPU", 2, "Linux")
    return render_page(results, cells, "round1", pictures, provenance, {"note": HOSTILE})
