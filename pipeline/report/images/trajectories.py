"""The view of trajectories: x_t of the teacher and of the student from the same noises, under one slider of t.

Every film is one picture with all times from left to right. The script shows one of them; without JavaScript and in
print all are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from pipeline.config.drawn_trajectories import TIMES
from pipeline.config.graph import Headline
from pipeline.config.model_names import TEACHER
from pipeline.data.mosaic import mosaic
from pipeline.data.trajectory_arrays import Trajectory, from_arrays
from pipeline.report.html import packaged_text, samples_image
from pipeline.report.reading import load_samples_of, unreadable
from pipeline.report.step_table import steps_in_words
from pipeline.system.errors import StraightflowError

GAP_GREY = 128  # tells images apart on a light and on a dark background


@dataclass(frozen=True)
class ModelTrajectories:
    """Drawn trajectories of one model; index i is of the same noise in every model's."""

    model: str
    trajectories: tuple[Trajectory, ...]


def load_trajectories(
    root: Path, models: Sequence[str], headline: Headline, channels: int
) -> tuple[ModelTrajectories, ...]:
    """Reads those of the teacher and of the student in question, as far as they were measured and drawn.

    Args:
        root: The project's folder.
        models: Measured models.
        headline: The student in question.
        channels: Of the data's images.

    Raises:
        StraightflowError: If a file is missing or damaged, or the pictures are not all of one shape.
    """
    wanted = [model for model in (TEACHER, headline.student) if model in models]
    loaded = [_load_model(root / f"samples/{model}.safetensors", model, channels) for model in wanted]
    found = tuple(item for item in loaded if item.trajectories)
    shapes = {item.trajectories[0].states.shape for item in found}
    if len(shapes) > 1:
        raise StraightflowError(
            expected="trajectories of one shape for all models",
            found=", ".join(map(str, sorted(shapes))),
            mend="run `dvc repro`, which measures every model with the same settings",
        )
    return found


def trajectories_section(found: Sequence[ModelTrajectories]) -> str:
    """HTML of the heading, the slider and the films; empty without any."""
    if not found:
        return ""
    num_noises = len(found[0].trajectories[0].states)
    times = [f"{time:g}" for time in TIMES]
    marks = "".join(f'<option value="{at}" label="{time}"></option>' for at, time in enumerate(times))
    films = "".join(_films(item.model, trajectory) for item in found for trajectory in item.trajectories)
    return (
        "<h2>From noise to image</h2>"
        f"<p>The same {num_noises} noises for each, a row for every noise. The slider moves time t from noise, t = 0, "
        "to image, t = 1. On the left is the state x_t; on the right is the image that it heads for, "
        "x_t + (1 − t) dx_t/dt. Between the ends of a step the heading stays as it is: one step has a single "
        "one. Along an ODE it changes all the way.</p>"
        f'<div id="trajectories" data-times="{",".join(times)}" style="--times:{len(times)}">'
        '<p class="control" hidden><label for="time">Time</label>'
        f'<input id="time" type="range" min="0" max="{len(times) - 1}" step="1" value="0" list="times">'
        f'<output for="time" id="at"></output><datalist id="times">{marks}</datalist></p>'
        f'<p class="soft all-times">From left to right: t = {", ".join(times)}.</p>'
        f'<div class="trajectories">{films}</div></div>\n'
    )


def trajectories_script(found: Sequence[ModelTrajectories]) -> str:
    """JavaScript of the slider; empty without trajectories."""
    return packaged_text(__package__, "trajectories.js") if found else ""


def _films(model: str, trajectory: Trajectory) -> str:
    way = "along its ODE" if trajectory.num_steps is None else steps_in_words(trajectory.num_steps)
    parts = (("x_t", "x_t", trajectory.states), ("heads for", "the images headed for", trajectory.headings))
    figures = "".join(_film(f"{what} of {model}, {way}", caption, pictures) for caption, what, pictures in parts)
    return f'<section><h3>{escape(model)} <span>{way}</span></h3><div class="films">{figures}</div></section>'


def _film(what: str, caption: str, pictures: np.ndarray) -> str:
    """All times side by side, each of equal width: a picture for every noise, and the gap to the next time."""
    alt = f"{what}, from {len(pictures)} noises, a row each, at {len(TIMES)} times from left to right"
    drawn = mosaic(pictures.reshape(-1, *pictures.shape[2:]), len(TIMES), gap=1, gap_value=GAP_GREY)
    equal = np.pad(drawn, ((0, 0), (0, 1), (0, 0)), constant_values=GAP_GREY)
    image = samples_image(equal, alt, "frames")
    return f'<figure><div class="film">{image}</div><figcaption>{caption}</figcaption></figure>'


def _load_model(path: Path, model: str, channels: int) -> ModelTrajectories:
    arrays = load_samples_of(path, model)
    try:
        found = from_arrays(arrays)
        for item in found:
            if item.states.shape[2] != channels:
                raise ValueError(f"trajectories of {item.states.shape[2]} channels, where the data have {channels}")
    except ValueError as error:
        raise unreadable(path, error) from error
    return ModelTrajectories(model, found)
