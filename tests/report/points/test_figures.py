from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from helpers.small_point_results import point_model
from matplotlib.figure import Figure
from PIL import Image

from pipeline.config.noise import STANDARD_NOISE
from pipeline.report.drawing import draw_both, png
from pipeline.report.points.animation import FRAME_TIMES, path_gif
from pipeline.report.points.field_figures import exact_field_figure, field_figure
from pipeline.report.points.figures import independent_paths, path_density_figure, trajectories_figure
from pipeline.report.points.pictures import draw_pictures
from pipeline.report.points.results import Results
from pipeline.report.theme import DARK, LIGHT, Theme
from pipeline.toys.distributions import TOYS

TIMES = np.linspace(0, 1, 9, dtype=np.float32)


def results(source: str) -> Results:
    """Models that go straight to the data, at two step counts."""
    toy = TOYS[source]
    paths = independent_paths(toy, STANDARD_NOISE, TIMES, 300)
    arrays = {"times": TIMES, "trajectories": paths, "euler/1": paths[:, -1], "euler/2": paths[:, -1]}
    arrays |= {"dopri5-0.001/adaptive": paths[:, -1]}
    if toy.dim == 1:
        positions = np.linspace(*toy.extent, 11, dtype=np.float32)
        arrays |= {"positions": positions, "field": np.tile(-positions, (len(TIMES), 1))}
    models = tuple(point_model(name) for name in ("flow", "round1"))
    return Results((), models, {model.model: arrays for model in models})


@pytest.mark.parametrize("source", ["checkerboard", "bimodal_1d"])
def test_every_figure_is_drawn_and_shows_something(source: str) -> None:
    found = results(source)
    drawn = draw_pictures(found.rows, found.arrays, TOYS[source], STANDARD_NOISE, "flow")
    expected = {"trajectories", "path_density", "samples", "distance_by_steps", "paths"}
    if source == "bimodal_1d":
        expected |= {"velocity_field", "exact_velocity"}
    assert drawn.keys() == expected
    for name, picture in drawn.items():
        assert "flow" in picture.alt
        for content, theme in ((picture.light, LIGHT), (picture.dark, DARK)):
            image = Image.open(io.BytesIO(content))
            pixels = np.asarray(image.convert("RGB"))
            assert image.format == picture.kind.upper()
            assert pixels.std() > 1, name
            assert "#" + pixels[0, 0].tobytes().hex() == theme.background, name


def test_the_animation_has_frames_up_to_the_last_time_and_points_that_move() -> None:
    found = results("bimodal_1d")
    drawn = draw_pictures(found.rows, found.arrays, TOYS["bimodal_1d"], STANDARD_NOISE, "flow")
    animation = Image.open(io.BytesIO(drawn["paths"].light))
    assert animation.n_frames == 1 + (len(TIMES) - 1) // FRAME_TIMES
    frames = []
    for at in range(animation.n_frames):
        animation.seek(at)
        frames.append(np.asarray(animation.convert("L")).astype(int))
    assert all(np.abs(after - before).mean() > 0.1 for before, after in itertools.pairwise(frames))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("source", ["checkerboard", "bimodal_1d"])
def test_every_frame_of_the_animation_has_the_colours_of_its_theme(source: str, theme: Theme) -> None:
    """In one dimension points are black, on the blue and red of the field below them."""
    found = results(source)
    animation = Image.open(io.BytesIO(path_gif({"flow": found.arrays["flow"]}, TOYS[source], theme)))
    for at in range(animation.n_frames):
        animation.seek(at)
        pixels = np.asarray(animation.convert("RGB")).reshape(-1, 3)
        colours = {"#" + colour.tobytes().hex() for colour in np.unique(pixels, axis=0)}
        if source == "checkerboard":
            assert {theme.background, theme.grid, theme.students[0]} <= colours
        else:
            assert {theme.background, theme.grid, "#000000", "#67001f", "#053061"} <= colours


def test_a_few_extreme_velocities_do_not_pale_the_heat_map_of_all_others() -> None:
    arrays = dict(results("bimodal_1d").arrays["flow"])
    field = arrays["field"].copy()
    field[0, 0] = 1000.0
    figure = field_figure({"flow": arrays, "teacher": arrays | {"field": field}}, TOYS["bimodal_1d"])
    limits = {axes.collections[0].get_clim() for axes in figure.axes[:2]}
    assert limits == {(-4.0, 4.0)}


def test_axes_over_time_and_place_are_named_and_the_scale_of_colours_as_well() -> None:
    toy, arrays = TOYS["bimodal_1d"], results("bimodal_1d").arrays
    exact = exact_field_figure("flow", arrays["flow"], toy, STANDARD_NOISE)
    for figure in (field_figure(arrays, toy), exact):
        *row, bar = figure.axes
        assert bar.get_ylabel() == "velocity dx/dt"
        assert row[0].get_ylabel() == "x"
        assert {axes.get_xlabel() for axes in row} == {"t"}
        assert {axes.get_ylim() for axes in row} == {toy.extent}
    learned, known, difference = (axes.collections[0].get_array() for axes in exact.axes[:3])
    np.testing.assert_allclose(difference, learned - known, atol=1e-6)
    for figure in (
        trajectories_figure(arrays, toy, STANDARD_NOISE), path_density_figure(arrays, toy, STANDARD_NOISE)
    ):  # fmt: skip
        assert figure.axes[0].get_ylabel() == "x"
        assert {axes.get_xlabel() for axes in figure.axes} == {"t"}


def test_in_the_plane_starts_and_ends_of_trajectories_are_named() -> None:
    (legend,) = trajectories_figure(results("checkerboard").arrays, TOYS["checkerboard"], STANDARD_NOISE).legends
    assert [text.get_text() for text in legend.get_texts()] == ["start", "end"]


@pytest.mark.parametrize("source", ["checkerboard", "bimodal_1d"])
def test_panels_of_trajectories_share_their_axes(source: str) -> None:
    figure = trajectories_figure(results(source).arrays, TOYS[source], STANDARD_NOISE)
    assert len(figure.axes) == 3
    assert {axes.get_ylim() for axes in figure.axes} == {TOYS[source].extent}
    assert {axes.get_xlim() for axes in figure.axes} == {(0, 1) if source == "bimodal_1d" else TOYS[source].extent}


def test_a_figure_that_takes_over_the_layout_of_another_is_the_same_to_the_bit() -> None:
    """With a title and a legend outside of the axes, which the layout places as well."""

    def draw(theme: Theme) -> Figure:
        figure = trajectories_figure(results("bimodal_1d").arrays, TOYS["bimodal_1d"], STANDARD_NOISE, theme)
        figure.suptitle("Trajectories", color=theme.text)
        figure.axes[0].plot([], label="path")
        figure.legend(loc="outside lower center")
        return figure

    drawn = draw_both("", draw)
    assert (drawn.light, drawn.dark) == (png(draw(LIGHT)), png(draw(DARK)))
