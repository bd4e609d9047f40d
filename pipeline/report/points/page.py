"""The page of a run on points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from string import Template
from typing import Any

from pipeline.report.html import Picture, packaged_text, picture, table
from pipeline.report.page import few_step_table, frame_page, shown
from pipeline.report.points.results import Results
from pipeline.report.provenance import Provenance


def render_page(
    results: Results, source: str, pictures: Mapping[str, Picture], provenance: Provenance, params: Mapping[str, Any]
) -> str:
    """The whole page as HTML.

    Args:
        results: A run's measurements.
        source: Name of the distribution of points.
        pictures: From :func:`pipeline.report.points.pictures.draw_pictures`.
        provenance: Code, packages and machine.
        params: The whole configuration, shown on the page.
    """
    last = results.rows[-1]
    trajectories = {item.model: asdict(item.trajectories) for item in results.models}
    errors = {item.model: asdict(item.field_error) for item in results.models if item.field_error is not None}
    content = Template(packaged_text(__package__, "page_content.html")).substitute(
        source=escape(source),
        measure=escape(
            f"{last.num_samples:,} points against as many fresh ones · seed {last.seed} · sliced over "
            f"{last.num_projections} directions; two sets of fresh points are {last.sliced_wasserstein_floor:.3g} apart"
        ),
        figures="".join(_section(name, item) for name, item in pictures.items()),
        few_step=few_step_table(results.rows, {}),
        trajectories=_records("Trajectories", trajectories),
        field_errors=_records("Field and likelihood against the closed form", errors) if errors else "",
    )
    made_by = [("git revision", provenance.revision), ("processor", provenance.cpu), *provenance.packages.items()]
    style = packaged_text(__package__, "page.css")
    return frame_page(f"Rectified flow on {source}", content, made_by, params, style=style)


def _section(name: str, item: Picture) -> str:
    title = escape(name.replace("_", " ").capitalize())
    return f'<h2>{title}</h2><div class="scroll" role="region" aria-label="{title}" tabindex="0">{picture(item)}</div>'


def _records(caption: str, records: Mapping[str, Mapping[str, object]]) -> str:
    head = ("model", *next(iter(records.values())))
    return table(caption, head, [(name, *map(shown, item.values())) for name, item in records.items()])
