"""The sample viewer: one slider over step counts; samples of the same noise stay in the same place.

Without JavaScript all step counts are shown; the script hides all but the chosen one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape

from pipeline.data.mosaic import mosaic
from pipeline.metrics.row import ADAPTIVE
from pipeline.report.html import packaged_text, samples_image
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.summary import format_fid
from pipeline.report.step_table import steps_in_words

COLUMNS = 8
GAP_GREY = 128  # tells images apart on a light and on a dark background


def viewer(cells: Sequence[SampleCell], fid: Mapping[tuple[str, str, int | None], float]) -> str:
    """HTML of the slider and of each model's samples.

    Args:
        cells: From :func:`pipeline.report.images.samples.load_samples`.
        fid: FID by (model, solver, steps), shown beside the samples where known.
    """
    counts = sorted({cell.num_steps for cell in cells}, key=lambda count: (count is None, count or 0))
    marks = "".join(f'<option value="{at}" label="{_mark(count)}"></option>' for at, count in enumerate(counts))
    groups = itertools.groupby(cells, key=lambda cell: (cell.model, cell.solver))
    bodies = [_series(model, solver, list(group), counts, fid) for (model, solver), group in groups]
    return (
        f'<div id="viewer" data-steps="{",".join(map(_mark, counts))}">'
        '<p class="control" hidden><label for="steps">Steps</label>'
        f'<input id="steps" type="range" min="0" max="{len(counts) - 1}" step="1" value="0" list="marks">'
        f'<output for="steps" id="chosen"></output><datalist id="marks">{marks}</datalist></p>'
        f'<div class="series">{"".join(bodies)}</div></div>'
    )


def viewer_script() -> str:
    """JavaScript of the slider."""
    return packaged_text(__package__, "viewer.js")


def _series(
    model: str,
    solver: str,
    cells: Sequence[SampleCell],
    counts: Sequence[int | None],
    fid: Mapping[tuple[str, str, int | None], float],
) -> str:
    images = {cell.num_steps: cell for cell in cells}
    frames = []
    for count in counts:
        steps = steps_in_words(count)
        if count in images:
            pixels = mosaic(images[count].images, min(COLUMNS, len(images[count].images)), gap=1, gap_value=GAP_GREY)
            alt = f"{len(images[count].images)} samples of {model} with {solver} at {steps}"
            image = samples_image(pixels, alt)
            known = fid.get((model, solver, count))
            note = steps if known is None else f"{steps}, FID {format_fid(known)}"
        else:
            image, note = "", f"not measured at {steps}"
        frames.append(f'<figure data-count="{_mark(count)}">{image}<figcaption>{escape(note)}</figcaption></figure>')
    return f"<section><h3>{escape(model)} · {escape(solver)}</h3>{''.join(frames)}</section>"


def _mark(count: int | None) -> str:
    return ADAPTIVE if count is None else str(count)
