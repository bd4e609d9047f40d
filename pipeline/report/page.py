"""The frame of every page: self-contained, light and dark, readable on a phone and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

import yaml

from pipeline.metrics.row import Row
from pipeline.report.html import definitions, packaged_text, table


def frame_page(
    title: str,
    content: str,
    provenance: Iterable[tuple[str, object]],
    params: Mapping[str, Any] | None,
    *,
    generator: str = "straightflow report",
    style: str = "",
    script: str = "",
) -> str:
    """A whole page as HTML.

    Args:
        title: Name of the page, in plain text.
        content: HTML between the page's heading and its provenance.
        provenance: What made the run: names and values.
        params: The whole configuration, shown on the page; None on a page of several runs.
        generator: What wrote the page.
        style: CSS in addition to that of every page.
        script: JavaScript that runs after the page has loaded.
    """
    return Template(packaged_text(__package__, "page_template.html")).substitute(
        title=escape(title),
        style=packaged_text(__package__, "page.css") + style,
        content=content,
        provenance=definitions(provenance),
        generator=escape(generator),
        params="" if params is None else _parameters(params),
        script=f"<script>\n{script}</script>" if script else "",
    )


def _parameters(params: Mapping[str, Any]) -> str:
    text = escape(yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True))
    shown = f'<pre tabindex="0" aria-label="Parameters">{text}</pre>'
    return f"<details>\n<summary>Parameters</summary>\n{shown}\n</details>"


def few_step_table(rows: Sequence[Row], formats: Mapping[str, str]) -> str:
    """Every measured cell, at least one, with the columns of ``metrics/few_step.csv``.

    Args:
        rows: Rows of one class.
        formats: Format specifications by column; floats of other columns have four significant digits.
    """
    columns = type(rows[0]).columns()
    lines = [
        [
            format(value, formats[name]) if name in formats else shown(value)
            for name, value in ((name, getattr(row, name)) for name in columns)
        ]
        for row in rows
    ]
    return table("Every measured cell", columns, lines, text_columns=2)


def shown(value: object) -> object:
    """A cell of a table: floats with four significant digits, all else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else value
