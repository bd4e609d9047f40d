"""The page of a run on images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from pipeline.config.data import height_and_width
from pipeline.config.graph import Headline
from pipeline.evaluation.drift import Drift
from pipeline.metrics.image_row import ImageRow
from pipeline.report.html import Picture, packaged_text, picture, table
from pipeline.report.images.answer import answer_section
from pipeline.report.images.by_class import classes_section
from pipeline.report.images.comparisons import (
    Comparison,
    at_least_samples,
    by_first_features,
    by_judge,
    compare,
    equal_evaluations,
    evaluations_in_words,
    rank_correlation,
)
from pipeline.report.images.ledger import ledger_section
from pipeline.report.images.reconstruction import reconstruction_section
from pipeline.report.images.results import DataResult, ModelResult, Results
from pipeline.report.images.samples import SampleCell
from pipeline.report.images.side_by_side import choose_panels, side_by_side
from pipeline.report.images.summary import describe_measure, describe_solver, fid_in_words, headline_sentence
from pipeline.report.images.trajectories import ModelTrajectories, trajectories_script, trajectories_section
from pipeline.report.images.viewer import viewer, viewer_script
from pipeline.report.ledger import Ledger
from pipeline.report.page import few_step_table, frame_page
from pipeline.report.provenance import Provenance
from pipeline.report.step_table import steps_in_words


def render_page(
    results: Results,
    cells: Sequence[SampleCell],
    trajectories: Sequence[ModelTrajectories],
    headline: Headline,
    rounds: Mapping[str, str],
    exact_steps: Mapping[str, int],
    taught: Sequence[str],
    ledger: Ledger,
    pictures: Mapping[str, Picture],
    provenance: Provenance,
    params: Mapping[str, Any],
) -> str:
    """The whole page as HTML.

    Args:
        results: A run's measurements.
        cells: Sample images, at least one cell.
        trajectories: Of the teacher and of the student in question.
        headline: The student in question, and the couplings that it learned.
        rounds: From :func:`pipeline.config.graph.rounds_before`.
        exact_steps: Measured students that are for one number of steps, and which.
        taught: Measured models that were trained on the first features, or come from one that was.
        ledger: What the run computed.
        pictures: From :func:`pipeline.report.images.pictures.draw_pictures`, ``quality_by_compute``, and
            ``classes`` of a class-conditional student.
        provenance: Code, packages and machine.
        params: The whole configuration, shown on the page.
    """
    rows = results.rows
    chosen, judged = by_first_features(rows), by_judge(rows)
    decoding = results.decoding_per_1000(headline.student)
    answer = answer_section(rows, headline, decoding)
    content = Template(packaged_text(__package__, "page_content.html")).substitute(
        answer=answer,
        headline=escape(headline_sentence(rows, headline)),
        headline_class="soft" if answer else "headline",
        side_by_side=side_by_side(choose_panels(rows, cells, headline, decoding)),
        measure=escape(describe_measure(chosen)),
        ratios=_ratios(compare(chosen, headline)) + _ratios(compare(judged, headline)),
        equal_quality=_equal_quality(chosen, headline),
        judge=escape(_describe_judge(rows) + _describe_taught(taught)),
        fid_by_steps=picture(pictures["fid_by_steps"]),
        exact_steps=escape(_describe_exact_steps(exact_steps)),
        quality_by_seconds=picture(pictures["quality_by_seconds"]),
        few_step=few_step_table(rows, {"fid": ".3f", "num_samples": ","}),
        viewer=viewer(cells, {row.cell: row.fid for row in at_least_samples(chosen)}),
        num_noises=str(len(cells[0].images)),
        samples=picture(pictures["samples"]),
        trajectories=trajectories_section(trajectories),
        reconstruction=reconstruction_section(results, headline),
        classes=classes_section(results, pictures.get("classes")),
        couplings=_couplings(results, rounds),
        straightness=picture(pictures["straightness"]),
        straightness_table=_straightness(results.models),
        losses=picture(pictures["losses"]),
        ledger=ledger_section(ledger, pictures["quality_by_compute"]),
    )
    title = "Few-step generation: what each step count costs"
    script = viewer_script() + trajectories_script(trajectories)
    return frame_page(title, content, _provenance(results, provenance), params, script=script)


def _ratios(comparisons: Sequence[Comparison]) -> str:
    """A table of ratios by one kind of features: a row for each step count, a column for each thing compared with."""
    if not comparisons:
        return ""
    columns = {item.against: f"÷ {item.against} ({item.numerator.num_samples:,})" for item in comparisons}
    rows: dict[int | None, dict[str, str]] = {}
    for item in comparisons:
        rows.setdefault(item.numerator.num_steps, {})[item.against] = item.verdict
    lines = [[steps_in_words(steps), *(cells.get(name) for name in columns)] for steps, cells in rows.items()]
    row = comparisons[0].numerator
    judge = ", the judge" if row.is_judge else ""
    caption = (
        f"FID of {row.model} ÷ that of others by {row.features} features{judge}, of (samples) on both sides, with 95 % "
        "intervals; ≈: 1 lies inside. The teacher is taken with its best solver at 8 and 16 evaluations."
    )
    return table(caption, [row.model, *columns.values()], lines)


def _equal_quality(rows: Sequence[ImageRow], headline: Headline) -> str:
    """A table of the evaluations that the teacher needs for the student's quality."""
    lines = []
    for row in at_least_samples(rows):
        count = equal_evaluations(rows, row) if row.model == headline.student else None
        if count is not None and row.num_steps is not None:
            lines.append((steps_in_words(row.num_steps), fid_in_words(row), evaluations_in_words(count, rows)))
    head = ("student", "FID", "evaluations of the teacher’s best solvers for that")
    return table("Step counts of equal quality, interpolated", head, lines) if lines else ""


def _describe_judge(rows: Sequence[ImageRow]) -> str:
    names = ", ".join(dict.fromkeys(row.features for row in by_judge(rows)))
    found = rank_correlation(rows)
    if not names:
        return "There is no second judge: the features that things may be chosen by are the only ones measured with."
    text = f"The judge ({names} features) measures the same images; nothing was chosen or trained by it."
    if found is not None:
        text += f" Over {found[1]} cells, its FIDs and the first features’ have a rank correlation of {found[0]:.3f}."
    return text


def _describe_taught(taught: Sequence[str]) -> str:
    if not taught:
        return ""
    return (
        f" Trained on the first features, or from a model that was: {', '.join(taught)}. FIDs of these by the first "
        "features are lower than their images deserve; only the judge’s compare."
    )


def _describe_exact_steps(steps: Mapping[str, int]) -> str:
    if not steps:
        return ""
    listed = ", ".join(f"{name} for {count}" for name, count in steps.items())
    return (
        f"Trained for one number of steps only: {listed}. "
        "Other numbers of steps call such a student at times that it was not trained at."
    )


def _couplings(results: Results, rounds: Mapping[str, str]) -> str:
    head = (
        "couplings",
        "made by",
        "solver",
        "pairs",
        "FID",
        "measured on",
        "÷ those its source learned",
        "transport cost per dim",
        "clipped",
        "drawn anew",
    )
    lines = [
        (
            name,
            item.source,
            describe_solver(row),
            f"{item.num_pairs:,}",
            fid_in_words(row),
            f"{row.num_samples:,}",
            _drift_in_words(results.drift(name, rounds.get(name)), row),
            f"{item.transport_cost_per_dim:.4f}",
            None if item.clipped_fraction is None else f"{100 * item.clipped_fraction:.2g} %",
            None if item.reintegration_error is None else f"{100 * item.reintegration_error:.2g} %",
        )
        for name, item in results.couplings.items()
        for row in by_first_features(item.rows)
    ]
    return table("Quality of the couplings that students are trained on", head, lines, text_columns=3)


def _drift_in_words(drift: Drift | None, row: ImageRow) -> str | None:
    """The drift of couplings whose cell ``row`` it was measured by; None for any other."""
    if drift is None or drift.couplings != row:
        return None
    ratio = drift.ratio
    return "spread unknown" if ratio is None else f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _straightness(models: Sequence[ModelResult]) -> str:
    head = (
        "model", "S", "normalised S", "turning (rad)", "transport cost per dim", "inversion RMSE", "one-step RMSE",
        "trajectories", "Euler steps",
    )  # fmt: skip
    lines = [
        (
            item.model,
            f"{item.trajectories.straightness:.4g}",
            f"{item.trajectories.straightness_normalised:.4g}",
            f"{item.trajectories.turning_radians:.3g}",
            f"{item.trajectories.transport_cost_per_dim:.4g}",
            f"{item.trajectories.inversion_rmse:.3g}",
            f"{item.trajectories.one_step_rmse:.3g}",
            item.trajectories.num_samples,
            item.trajectories.num_steps,
        )
        for item in models
    ]
    return table("Trajectories of each model", head, lines)


def _provenance(results: Results, provenance: Provenance) -> list[tuple[str, object]]:
    measured_on = dict.fromkeys(_measured_on(model) for model in results.models)
    trained = {"": results.classifier.first, ", the judge": results.classifier.judge}
    return [
        ("git revision", provenance.revision),
        ("data", _describe_data(results.data)),
        *(
            (f"held-out accuracy of {item.features} features{role}", f"{100 * item.accuracy_heldout:.1f} %")
            for role, item in trained.items()
            if item is not None
        ),
        ("models measured on", "; ".join(measured_on)),
        ("processor", f"{provenance.cpu}, {provenance.num_cores} logical cores"),
        ("system", provenance.system),
        ("Python", provenance.python),
        *provenance.packages.items(),
    ]


def _measured_on(model: ModelResult) -> str:
    return f"{model.device}, {model.precision}"


def _describe_data(data: DataResult) -> str:
    name = data.source if data.location is None else f"{data.source} ({data.location})"
    colour = "grey" if data.channels == 1 else "RGB"
    height, width = height_and_width(data.resolution)
    return f"{name}, {height}×{width} {colour}, {data.num_train:,} training and {data.num_heldout:,} held-out images"
