"""The ledger of compute on the page of a run on images: its tables, and quality against total compute."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from pipeline.config.lineage import ENCODING
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.metrics.image_row import ImageRow
from pipeline.report.axes import log_axis, new_figure, style
from pipeline.report.drawing import draw_both
from pipeline.report.html import Picture, picture, table
from pipeline.report.images.comparisons import STUDENT_STEPS, at_least_samples, by_first_features
from pipeline.report.images.figures import DPI, WIDTH_INCHES
from pipeline.report.ledger import Ledger
from pipeline.report.theme import LIGHT, Theme
from pipeline.system.compute import Compute

_HEAD = ("samples forward", "samples backward", "forward-equivalents", "FLOPs", "device seconds")
_EXPLANATION = (
    "One sample through one network call counts 1, as it happens; a backward pass counts as two forward passes in "
    "forward-equivalents. FLOPs are those of matrix products, convolutions and attention, counted once for each "
    "network and shape. Seconds are added up over processes, and stretches of interrupted runs as well. Networks of "
    "features, the gate, and images drawn to watch a training are not counted."
)
_ABOUT_TOTALS = (
    "A model costs its training, the training of what it started from, its whole couplings, and the model that these "
    "were drawn from, each once. Measuring is not part of it."
)
_LATENTS = " A model of latents costs its autoencoder and encoding the data as well."
_ADOPTED = " The autoencoder was brought along; what it took is unknown, and in no total."
_PRETRAINED = " The teacher is pretrained and its cost is unknown: totals begin after it."


def ledger_section(ledger: Ledger, drawn: Picture) -> str:
    """HTML of the figure and of both tables; a dash where no record was left.

    Args:
        ledger: Of the run.
        drawn: From :func:`draw_quality_by_compute`.
    """
    adopted = {item.stage.partition("@")[0] for item in ledger.stages if item.is_pretrained}
    pretrained = TEACHER in adopted
    about = _ABOUT_TOTALS + (_LATENTS if any(item.stage == ENCODING for item in ledger.stages) else "")
    about += (_ADOPTED if AUTOENCODER in adopted else "") + (_PRETRAINED if pretrained else "")
    stages = [
        (item.stage, *(["unknown"] * len(_HEAD) if item.is_pretrained else _numbers(item.compute)))
        for item in ledger.stages
    ]
    models = [(item.model, *_numbers(item.compute)) for item in ledger.models]
    caption = "Total after the pretrained teacher" if pretrained else "Total from the teacher to each model"
    return (
        f"{picture(drawn)}{table(caption, ('model', *_HEAD), models)}"
        f'<p class="soft">{about}</p>'
        f"{table('Compute of each stage', ('stage', *_HEAD), stages)}"
        f'<p class="soft">{_EXPLANATION}</p>'
    )


def draw_quality_by_compute(rows: Sequence[ImageRow], ledger: Ledger) -> Picture:
    """:func:`quality_by_compute_figure` for both backgrounds."""
    names = ", ".join(dict.fromkeys(row.model for row, _ in _students(rows, ledger))) or "no model"
    return draw_both(
        f"FID at few steps against the FLOPs from teacher to student, both logarithmic, for {names}.",
        lambda theme: quality_by_compute_figure(rows, ledger, theme),
    )


def quality_by_compute_figure(rows: Sequence[ImageRow], ledger: Ledger, theme: Theme = LIGHT) -> Figure:
    """FID (log) of each student at few steps against what it took to make it (log): a vertical line each.

    At each step count the best of its solvers is drawn. Students of unknown cost are left out.

    Args:
        rows: Every measured cell; those of the first features and of fewest samples are drawn.
        ledger: Of the run.
        theme: Colours.
    """
    students = _students(rows, ledger)
    figure = new_figure(WIDTH_INCHES, 3.8, DPI, theme)
    axes = figure.add_subplot()
    style(axes, theme)
    colours = theme.colours(row.model for row in rows if not row.is_couplings)
    for model in dict.fromkeys(row.model for row, _ in students):
        cells = [(row, flops / 1e12) for row, flops in students if row.model == model]
        axes.plot(
            [flops for _, flops in cells], [row.fid for row, _ in cells],
            color=colours[model], marker="o", markersize=5, linewidth=1.2, label=model,
        )  # fmt: skip
        for row, flops in cells:
            axes.annotate(
                str(row.num_steps), (flops, row.fid), (6, 0), textcoords="offset points", va="center",
                color=colours[model], fontsize=7.5,
            )  # fmt: skip
    log_axis(axes, "y", [row.fid for row, _ in students])
    log_axis(axes, "x", [flops / 1e12 for _, flops in students])
    axes.set_xlabel("10¹² FLOPs to make the student, couplings and teacher included", color=theme.text)
    axes.set_ylabel("FID (lower is better)", color=theme.text)
    figure.suptitle("Quality for compute", color=theme.text, fontsize=12, fontweight="bold")
    note = "numbers at the points are steps" if students else "no student with a record of its compute"
    axes.set_title(note, color=theme.text, fontsize=8.5)
    if students:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.text, fontsize=9)
    return figure


def _students(rows: Sequence[ImageRow], ledger: Ledger) -> list[tuple[ImageRow, int]]:
    """Best cell of each student at each few-step count, by steps, with the student's FLOPs."""
    drawn = at_least_samples(by_first_features(rows))
    found = []
    for model in dict.fromkeys(row.model for row in drawn if not row.is_couplings and row.model != TEACHER):
        compute = ledger.cost(model)
        for steps in STUDENT_STEPS:
            cells = [row for row in drawn if row.model == model and row.num_steps == steps]
            if compute is not None and cells:
                found.append((min(cells, key=lambda row: row.fid), compute.flops))
    return found


def _numbers(compute: Compute | None) -> list[str | None]:
    if compute is None:
        return [None] * len(_HEAD)
    counts = (compute.samples_forward, compute.samples_backward, compute.forward_equivalents)
    return [*(f"{count:,}" for count in counts), f"{compute.flops:.3g}", f"{compute.seconds:,.1f}"]
