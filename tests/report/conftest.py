"""A page of a run with known numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.html_page import HOSTILE
from helpers.small_image_results import COUPLINGS, MODELS, STUDENTS, write_run

from pipeline.config.graph import Headline
from pipeline.report.images.page import render_page
from pipeline.report.images.pictures import draw_pictures
from pipeline.report.images.results import load_results
from pipeline.report.images.samples import load_samples
from pipeline.report.provenance import Provenance


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_run(tmp_path)
    results, cells = load_results(tmp_path, MODELS, COUPLINGS, STUDENTS), load_samples(tmp_path, MODELS)
    pictures = draw_pictures(results, cells)
    provenance = Provenance("abc" + HOSTILE, "3.11", {"torch": "2.14"}, "a CPU", 2, "Linux")
    return render_page(results, cells, Headline("few_step", "round1"), (), pictures, provenance, {"note": HOSTILE})
