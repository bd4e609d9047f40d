"""Ratios and limits from rows of known distances and intervals."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers.composition import composed
from helpers.small_image_results import image_row
from helpers.small_point_results import point_row
from pydantic import ValidationError

from pipeline.config.couplings import GateConfig
from pipeline.config.graph import Config, rounds_before
from pipeline.evaluation.drift import measure_drift, require_little_drift
from pipeline.metrics.image_row import ImageRow
from pipeline.system.errors import StraightflowError

LIMITS = {"max_clipped_fraction": 0.1, "max_reintegration_error": 0.1, "reintegrated_pairs": 4}


def couplings_row(name: str, fid: float, **other: Any) -> ImageRow:
    """Couplings of a FID whose interval reaches a tenth of it either way."""
    changes = {"model": f"couplings@{name}", "nfe": None, "seconds_per_1000": None, "fid": fid}
    return image_row(**(changes | {"fid_low": 0.9 * fid, "fid_high": 1.1 * fid} | other))


def gate(**settings: Any) -> GateConfig:
    return GateConfig.model_validate(LIMITS | settings)


def write(folder: Path, *rows: ImageRow) -> Path:
    path = folder / "quality.json"
    path.write_text(json.dumps({"rows": [asdict(row) for row in rows], "num_pairs": 3, "source": "teacher"}))
    return path


def test_drift_is_the_ratio_of_the_largest_cells_that_compare() -> None:
    judge = {"features": "classifier-residual", "is_judge": True, "measured_by": "cd34"}
    rows = [couplings_row("round2", fid, num_samples=count) for fid, count in ((6.0, 5000), (6.6, 9000))]
    rows.append(couplings_row("round2", 1.0, **judge))
    learned = [couplings_row("round1", 4.0), couplings_row("round1", 3.0, num_samples=60000)]
    drift = measure_drift(rows, learned)
    assert drift is not None
    assert drift.ratio is not None
    # Of two independent distances with a relative half-width of 0.1 each.
    assert drift.ratio.value == pytest.approx(1.5)
    assert drift.ratio.low == pytest.approx(1.5 * math.exp(-0.1 * math.sqrt(2)))
    assert measure_drift(rows[1:], learned) is None


@pytest.mark.parametrize(("fid", "refused"), [(3.0, False), (5.0, False), (5.2, True)])
def test_a_round_is_refused_where_its_whole_interval_is_beyond_the_limit(fid, refused, tmp_path: Path) -> None:
    # 4 · 1.1 · e^0.1414 = 5.07
    path, rows = write(tmp_path, couplings_row("round1", 4.0)), [couplings_row("round2", fid)]
    if not refused:
        require_little_drift("round2", rows, path, gate())
        return
    found = r"FID 5\.2 ÷ 4 = 1\.30, 95 % interval 1\.13 to 1\.50(.|\n)*drift_allowed"
    with pytest.raises(StraightflowError, match=found):
        require_little_drift("round2", rows, path, gate())
    require_little_drift("round2", rows, path, gate(drift_allowed=["round2"]))
    require_little_drift("round2", rows, path, gate(max_drift=0.2))


def test_an_unknown_spread_is_no_drift_and_points_have_none(tmp_path: Path) -> None:
    unknown = couplings_row("round2", 50.0, fid_low=None, fid_high=None)
    require_little_drift("round2", [unknown], write(tmp_path, couplings_row("round1", 4.0)), gate())
    require_little_drift("round2", [point_row("round2", "euler", 1, 1)], tmp_path / "missing.json", gate())


@pytest.mark.parametrize("content", [None, "[]", '{"rows": [{"fid": -5}]}'])
def test_the_quality_of_the_round_before_must_be_there(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StraightflowError, match=r"quality\.json(.|\n)*dvc repro"):
        require_little_drift("round2", [couplings_row("round2", 6.0)], path, gate())


def test_rounds_of_students_follow_the_couplings_that_these_learned() -> None:
    params = composed("preset=smoke")
    assert rounds_before(Config.model_validate(params)) == {"round2": "round1"}
    params["gate"]["drift_allowed"] = ["round3"]
    with pytest.raises(ValidationError, match=r"gate\.drift_allowed names 'round3'"):
        Config.model_validate(params)
