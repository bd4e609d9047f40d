from __future__ import annotations

from dataclasses import fields

import pytest
from helpers.small_point_results import point_row

from pipeline.metrics.image_row import ImageRow
from pipeline.metrics.point_row import PointRow
from pipeline.metrics.row import Row, parse_samples_key, samples_key


@pytest.mark.parametrize(("solver", "num_steps"), [("euler", 4), ("heun-edm", 16), ("dopri5-0.001", None)])
def test_the_name_of_a_cells_samples_says_which_cell_it_is(solver: str, num_steps: int | None) -> None:
    assert parse_samples_key(samples_key(solver, num_steps)) == (solver, num_steps)


@pytest.mark.parametrize("key", ["times", "euler/many", "euler/4/5"])
def test_a_name_of_no_cell_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|literal"):
        parse_samples_key(key)


@pytest.mark.parametrize("kind", [ImageRow, PointRow])
def test_tables_of_images_and_of_points_begin_with_the_cell(kind: type[Row]) -> None:
    assert kind.columns()[:4] == ("model", "solver", "num_steps", "nfe")
    not_shown = {"fid_deviations"} if kind is ImageRow else set()
    assert set(kind.columns()) == {field.name for field in fields(kind)} - not_shown
    assert len(kind.columns()) == len(set(kind.columns()))


def test_rows_of_couplings_are_told_by_their_model() -> None:
    model, couplings = (point_row(name, "euler", 4, None) for name in ("round1", "couplings@round1"))
    assert (model.is_couplings, couplings.is_couplings) == (False, True)
    assert couplings.cell == ("couplings@round1", "euler", 4)
