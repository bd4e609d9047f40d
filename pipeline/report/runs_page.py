"""Several runs on one page: who is better than the first, their images, their curves, and every cell."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipeline.config.graph import Headline
from pipeline.config.model_names import TEACHER
from pipeline.metrics.image_row import ImageRow, differences
from pipeline.report.drawing import draw_both
from pipeline.report.html import picture, table
from pipeline.report.images.comparisons import STUDENT_STEPS, at_least_samples, by_first_features
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.side_by_side import SHOWN_STEPS, choose_panels, side_by_side
from pipeline.report.images.summary import describe_measure, fid_in_words
from pipeline.report.page import frame_page
from pipeline.report.runs import Compared, compare_cells, only_in
from pipeline.report.runs_figure import fids_of_runs, runs_figure
from pipeline.report.step_table import steps_in_words
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError

GENERATOR = "straightflow compare"
_HEAD_BYTES = 2_000
_LONGEST = 32
MOST_RUNS = len(string.ascii_uppercase)

Series = tuple[str, str]


@dataclass(frozen=True)
class Run:
    """A run to compare.

    Attributes:
        name: As the user called it.
        rows: From :func:`pipeline.report.runs.load_run`.
        cells: From :func:`pipeline.report.runs.load_run_samples`; may be empty.
    """

    name: str
    rows: tuple[ImageRow, ...]
    cells: tuple[SampleCell, ...]


def require_replaceable_page(path: Path) -> None:
    """Checks that nothing but such a page is at ``path``.

    Raises:
        StraightflowError: If another file is there.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if f'content="{GENERATOR}"'.encode() not in head:
        raise StraightflowError(
            expected=f"nothing at {path}, or a page of an earlier comparison",
            found="another file, which would be overwritten",
            mend="name another file with --page",
        )


def write_runs_page(path: Path, runs: Sequence[Run]) -> None:
    """Writes the page of ``runs``, two or more, atomically.

    Raises:
        StraightflowError: If there are more than 26 runs, or something else is at ``path``.
    """
    if len(runs) > MOST_RUNS:
        raise StraightflowError(
            expected=f"at most {MOST_RUNS} runs on a page", found=str(len(runs)), mend="compare fewer at a time"
        )
    require_replaceable_page(path)
    with atomic_file(path) as temporary:
        temporary.write_text(render_runs_page(runs), "utf-8")


def render_runs_page(runs: Sequence[Run]) -> str:
    """The whole page as HTML."""
    labels = [f"{letter}: {shortened(run.name)}" for letter, run in zip(string.ascii_uppercase, runs, strict=False)]
    named = list(zip(labels, runs, strict=True))
    students = _students(runs)
    content = (
        _verdicts(named)
        + _fids(named, students)
        + "".join(_images(named, model) for model in dict.fromkeys(model for model, _ in students))
        + "<h2>FID by number of steps</h2>"
        + "".join(_curve(named, series) for series in students)
        + "<h2>Every cell</h2>"
        + "".join(_cells(named[0], other) for other in named[1:])
    )
    return frame_page("Runs compared", content, _provenance(named), None, generator=GENERATOR)


Named = tuple[str, Run]


def _students(runs: Sequence[Run]) -> list[Series]:
    """Models and solvers of fixed steps that any run measured, without the teacher; lowest FID at one step first."""
    rows = [row for run in runs for row in by_first_features(run.rows) if not row.is_couplings and row.model != TEACHER]
    found = dict.fromkeys((row.model, row.solver) for row in rows if row.num_steps is not None)
    one_step = {series: [row.fid for row in rows if row.cell == (*series, 1)] for series in found}
    return sorted(found, key=lambda series: min(one_step[series], default=math.inf))


def _verdicts(named: Sequence[Named]) -> str:
    """A sentence for each run but the first: how many of its cells are better and worse."""
    first = named[0]
    return "".join(
        f'<p class="headline">{escape(label)} against {escape(first[0])}: '
        f"{escape(count_verdicts(compare_cells(first[1].rows, run.rows)))}.</p>"
        for label, run in named[1:]
    )


def count_verdicts(cells: Sequence[Compared]) -> str:
    """For example ``2 cells better, 1 worse, 3 without significant difference, 1 not comparable``."""
    better, worse = (sum(cell.is_better is wanted for cell in cells) for wanted in (True, False))
    apart = sum(cell.verdict.startswith("not comparable") for cell in cells)
    unknown = sum(cell.verdict == "spread unknown" for cell in cells)
    alike = len(cells) - better - worse - apart - unknown
    text = f"{better} cell{'' if better == 1 else 's'} better, {worse} worse, {alike} without significant difference"
    text += f", {unknown} of unknown spread" if unknown else ""
    return f"{text}, {apart} not comparable" if apart else text


def _images(named: Sequence[Named], model: str) -> str:
    """Each run's images of a student beside its teacher's best; empty where no run has any."""
    shown = [
        (label, run, choose_panels(run.rows, run.cells, Headline(model, "")))
        for label, run in named
        if any((cell.model, cell.solver) == (model, "euler") and cell.num_steps in SHOWN_STEPS for cell in run.cells)
    ]
    if not shown:
        return ""
    seeds = {row.seed for _, run, _ in shown for row in run.rows if row.model == model}
    shapes = {panel.images.shape[1:] for _, _, panels in shown for panel in panels}
    alike = len(seeds) == len(shapes) == 1
    note = "All from the same noises." if alike else "Runs differ in the seed of their noises or in the size of images."
    without = [label for label, run in named if not run.cells]
    missing = f" No images beside the table of {', '.join(without)}." if without else ""
    rows = "".join(f"<h3>{escape(label)}</h3>{side_by_side(panels)}" for label, _, panels in shown)
    return f'<h2>Images of {escape(model)}</h2><p class="soft">{note}{escape(missing)}</p>{rows}'


def _curve(named: Sequence[Named], series: Series) -> str:
    """The curve of a series with a line for each run whose FIDs compare with those of the first that has it."""
    cells = {label: _of_series(run, series) for label, run in named}
    first = next(rows[0] for rows in cells.values() if rows)
    drawn = {label: [row for row in rows if not differences(row, first)] for label, rows in cells.items()}
    apart = [label for label, rows in cells.items() if len(drawn[label]) < len(rows)]
    title = " · ".join(series)
    alt = f"FID of {title} against the number of steps, both logarithmic, for {', '.join(drawn)}."
    drawing = draw_both(alt, lambda theme: runs_figure(title, drawn, theme), fids_of_runs(drawn))
    note = f"Not drawn where FIDs do not compare: {', '.join(apart)}." if apart else ""
    return f'{picture(drawing)}<p class="soft">{escape(describe_measure([first]))}. {escape(note)}</p>'


def _of_series(run: Run, series: Series) -> list[ImageRow]:
    rows = at_least_samples(by_first_features(run.rows))
    return [row for row in rows if (row.model, row.solver) == series and row.num_steps is not None]


def _fids(named: Sequence[Named], students: Sequence[Series]) -> str:
    """A table of FIDs at few steps: a row for each model, solver and run."""
    lines = []
    for series in students:
        for label, run in named:
            fids = {row.num_steps: fid_in_words(row) for row in _of_series(run, series)}
            if fids:
                lines.append((" · ".join(series), label, *(fids.get(steps) for steps in STUDENT_STEPS)))
    head = ("model", "run", *map(steps_in_words, STUDENT_STEPS))
    return table("FID by step count, with 95 % intervals", head, lines, text_columns=2) if lines else ""


def _cells(first: Named, other: Named) -> str:
    """A folded table of every cell that two runs measured."""
    lines = [
        (
            cell.label,
            fid_in_words(cell.a),
            fid_in_words(cell.b),
            None if cell.ratio is None else f"{cell.ratio:.3f}",
            _verdict_of(cell, first[0], other[0]),
        )
        for cell in compare_cells(first[1].rows, other[1].rows)
    ]
    title = f"{other[0]} against {first[0]}"
    alone = "".join(
        f'<p class="soft">Only in {escape(label)}: {escape(", ".join(cells))}.</p>'
        for label, cells in (
            (first[0], only_in(first[1].rows, other[1].rows)),
            (other[0], only_in(other[1].rows, first[1].rows)),
        )
        if cells
    )
    body = table(title, ("cell", first[0], other[0], "second ÷ first", "verdict"), lines)
    return f"<details><summary>{escape(title)}</summary>{body}{alone}</details>"


def _verdict_of(cell: Compared, first: str, other: str) -> str:
    better = {True: other, False: first, None: None}[cell.is_better]
    return cell.verdict if better is None else f"{better.partition(':')[0]} better"


def _provenance(named: Sequence[Named]) -> list[tuple[str, object]]:
    return [(label, f"{run.name}; {len(run.rows)} cells, {len(run.cells)} with images") for label, run in named]


def shortened(name: str) -> str:
    """The end of a name that is too long for a legend, which tells folders apart."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
