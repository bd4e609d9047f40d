"""What one sample is, and that either kind of data is prepared without what only the other needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.imports import modules_imported

from pipeline.config.data import DataConfig
from pipeline.data.pixels import from_stored, to_stored
from pipeline.data.sample_set import SampleSet
from pipeline.data.space import PIXELS, POINTS, Space, space_of, space_of_shape
from pipeline.system.errors import StraightflowError


@pytest.mark.parametrize(("preset", "space"), [("digits", PIXELS), ("checkerboard", POINTS), ("bimodal_1d", POINTS)])
def test_the_configured_data_and_the_shape_of_their_samples_name_one_space(preset: str, space: Space) -> None:
    data = DataConfig.model_validate(composed(f"preset={preset}")["data"])
    assert space_of(data) is space_of_shape(data.sample_shape) is space


def test_samples_of_another_number_of_axes_are_refused_with_those_there_are() -> None:
    with pytest.raises(StraightflowError, match=r"\(channels, height, width\) or \(dim\)") as refusal:
        space_of_shape((8, 8))
    assert refusal.value.found == "(8, 8)"


@pytest.mark.parametrize(
    ("stored", "values", "place"),
    [
        (np.array([[[[0]]], [[[51]]], [[[255]]]], dtype=np.uint8), [-1.0, 51 / 127.5 - 1, 1.0], "image 2"),
        (np.array([[-7.5], [0.25], [3.0]], dtype=np.float32), [-7.5, 0.25, 3.0], "point 2"),
    ],
)
def test_a_set_of_samples_gives_8_bits_in_the_range_of_networks_and_points_as_they_are(
    stored: np.ndarray, values: list[float], place: str
) -> None:
    samples = SampleSet(stored, None, "")
    x_1 = samples.load(np.array([0, 1, 2]))["x_1"]
    assert x_1.dtype == torch.float32
    assert x_1.flatten().tolist() == pytest.approx(values)
    assert samples.locate(2) == place


def test_what_is_stored_as_floats_comes_back_as_it_was_and_8_bits_to_the_nearest_of_256() -> None:
    x_1 = torch.tensor([-3.0, -0.5, 0.0, 0.25])
    assert torch.equal(from_stored(to_stored(x_1, "float32")), x_1)
    assert torch.equal(from_stored(to_stored(x_1, "float16")), x_1)  # all of them multiples of 2^-2
    error = from_stored(to_stored(x_1, "uint8")) - x_1.clamp(-1, 1)
    assert error.abs().max() <= 0.5 / 127.5 + 1e-6


@pytest.mark.parametrize(("preset", "others"), [("toy_smoke", {"datasets", "sklearn"}), ("smoke", {"pipeline.toys"})])
def test_either_kind_of_data_is_prepared_without_what_only_the_other_needs(preset: str, others: set[str]) -> None:
    imported = modules_imported(
        f"""
        from pathlib import Path
        from tempfile import TemporaryDirectory
        from pipeline.config.data import DataConfig
        from pipeline.data.prepare import prepare_data
        with TemporaryDirectory() as folder:
            prepare_data(DataConfig.model_validate({composed(f"preset={preset}")["data"]!r}), Path(folder) / "data")
        """
    )
    assert imported.isdisjoint(others)
