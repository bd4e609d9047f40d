"""One self-contained HTML page: no server, no request, light and dark, readable on a phone and without JavaScript."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from html import escape
from string import Template
from typing import Any

import yaml

from pipeline.metrics.row import COLUMNS, Row
from pipeline.report.html import definitions, picture, table
from pipeline.report.pictures import Pictures
from pipeline.report.provenance import Provenance
from pipeline.report.results import DataResult, ModelResult, Results, few_step_rows
from pipeline.report.samples import SampleCell
from pipeline.report.summary import describe_measure, describe_solver, format_fid, headline, ratio_lines
from pipeline.report.viewer import viewer


def render_page(
    results: Results,
    cells: Sequence[SampleCell],
    numbers: Mapping[str, float],
    pictures: Pictures,
    provenance: Provenance,
    params: Mapping[str, Any],
) -> str:
    """The whole page as HTML.

    Args:
        results: A run's measurements.
        cells: Sample images, at least one cell.
        numbers: From :func:`pipeline.report.summary.summary`.
        pictures: The figures, for light and dark ground.
        provenance: Code, packages and machine.
        params: The configuration, shown whole.
    """
    rows = few_step_rows(results)
    template = Template(importlib.resources.files("pipeline.report").joinpath("page_template.html").read_text("utf-8"))
    return template.substitute(
        headline=escape(headline(numbers)),
        measure=escape(describe_measure(rows)),
        ratios=_ratios(numbers),
        fid_by_steps=picture(pictures.fid_by_steps),
        few_step=table("Every measured cell", COLUMNS, [_row_cells(row) for row in rows], text_columns=2),
        viewer=viewer(cells, {(row.model, row.solver, row.num_steps): row.fid for row in rows}),
        num_noises=str(len(cells[0].images)),
        samples=picture(pictures.samples),
        couplings=_couplings(results),
        straightness=picture(pictures.straightness),
        straightness_table=_straightness(results.models),
        losses=picture(pictures.losses),
        provenance=definitions(_provenance(results, provenance)),
        params=escape(yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True)),
    )


def _ratios(numbers: Mapping[str, float]) -> str:
    lines = [(words, f"{ratio:.2f}") for words, ratio in ratio_lines(numbers)]
    return table("Ratios of FIDs in this run", ("what", "ratio"), lines) if lines else ""


def _row_cells(row: Row) -> list[object]:
    seconds = None if row.seconds_per_1000 is None else f"{row.seconds_per_1000:.3g}"
    shown = {"fid": f"{row.fid:.3f}", "num_samples": f"{row.num_samples:,}", "seconds_per_1000": seconds}
    return [shown.get(name, value) for name, value in zip(COLUMNS, astuple(row), strict=True)]


def _couplings(results: Results) -> str:
    head = (
        "couplings",
        "made by",
        "solver",
        "pairs",
        "FID",
        "measured on",
        "transport cost per dim",
        "clipped",
        "drawn anew",
    )
    lines = [
        (
            name,
            item.source,
            describe_solver(item.row),
            f"{item.num_pairs:,}",
            format_fid(item.row.fid),
            f"{item.row.num_samples:,}",
            f"{item.transport_cost_per_dim:.4f}",
            None if item.clipped_fraction is None else f"{100 * item.clipped_fraction:.2g} %",
            None if item.reintegration_error is None else f"{100 * item.reintegration_error:.2g} %",
        )
        for name, item in results.couplings.items()
    ]
    return table("Quality of the couplings each round is trained on", head, lines, text_columns=3)


def _straightness(models: Sequence[ModelResult]) -> str:
    head = ("model", "S", "normalised S", "trajectories", "Euler steps")
    lines = [
        (
            item.model,
            f"{item.straightness:.4g}",
            f"{item.straightness_normalised:.4g}",
            item.straightness_num_samples,
            item.straightness_num_steps,
        )
        for item in models
    ]
    return table("Straightness of each model", head, lines)


def _provenance(results: Results, provenance: Provenance) -> list[tuple[str, object]]:
    measured_on = dict.fromkeys(_measured_on(model) for model in results.models)
    accuracy = results.classifier.accuracy_heldout
    return [
        ("git revision", provenance.revision),
        ("data", _describe_data(results.data)),
        *([("classifier’s held-out accuracy", f"{100 * accuracy:.1f} %")] if accuracy is not None else []),
        ("models measured on", "; ".join(measured_on)),
        ("processor", f"{provenance.cpu}, {provenance.num_cores} logical cores"),
        ("GPU", provenance.gpu or "none"),
        ("system", provenance.system),
        ("Python", provenance.python),
        *provenance.packages.items(),
    ]


def _measured_on(model: ModelResult) -> str:
    return model.device if model.precision is None else f"{model.device}, {model.precision}"


def _describe_data(data: DataResult) -> str:
    name = data.source if data.location is None else f"{data.source} ({data.location})"
    colour = "grey" if data.channels == 1 else "RGB"
    return (
        f"{name}, {data.resolution}×{data.resolution} {colour}, "
        f"{data.num_train:,} training and {data.num_heldout:,} held-out images"
    )
