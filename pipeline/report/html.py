"""Small pieces of HTML; all text is escaped."""

from __future__ import annotations

import base64
import importlib.resources
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from pipeline.data.png import encode_png

SHARP_PIXELS = 320
"""Wider images are shown smaller than they are, where single pixels would be dropped."""


@dataclass(frozen=True)
class Reading:
    """Values of a figure at one place of its x axis, which a reader of the page can point at.

    Attributes:
        left: Where the strip to point at begins, as a share of the figure's width.
        centre: Where the values are, as a share of the figure's width.
        right: Where the strip ends, as a share of the figure's width.
        title: Names the place.
        values: Names and values.
    """

    left: float
    centre: float
    right: float
    title: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A figure for the page.

    Attributes:
        alt: Text alternative.
        light: Content of the file for a light background.
        dark: Content of the file for a dark background.
        kind: Format of both files.
        readings: Values to point at, from left to right.
    """

    alt: str
    light: bytes
    dark: bytes
    kind: Literal["png", "gif"] = "png"
    readings: tuple[Reading, ...] = ()


def packaged_text(package: str, name: str) -> str:
    """Content of a text file in the folder of ``package``."""
    return (importlib.resources.files(package) / name).read_text("utf-8")


def picture(item: Picture) -> str:
    """A picture that follows the reader's colour scheme, light or dark; its readings show where one points or tabs."""
    drawn = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{image_uri(item.dark, item.kind)}">'
        f'<img src="{image_uri(item.light, item.kind)}" alt="{escape(item.alt)}"></picture>'
    )
    if not item.readings:
        return drawn
    strips = "".join(map(_strip, item.readings))
    return f'<div class="chart">{drawn}<ul class="readings" aria-label="Values of the figure">{strips}</ul></div>'


def samples_image(pixels: np.ndarray, alt: str, kind: str = "samples") -> str:
    """Images laid out as one, uint8 (height, width, 3); pixels stay sharp squares where they are enlarged."""
    smooth = " smooth" if pixels.shape[1] > SHARP_PIXELS else ""
    return f'<img class="{kind}{smooth}" src="{image_uri(encode_png(pixels, smallest=True))}" alt="{escape(alt)}">'


def _strip(item: Reading) -> str:
    """A place to point at. The values stand to the right of it in the left half of the figure, else to the left."""
    width = item.right - item.left
    line = 100 * (item.centre - item.left) / width if width else 0
    side = "after" if item.centre < 0.5 else "before"
    values = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in item.values)
    return (
        f'<li tabindex="0" style="left:{100 * item.left:.2f}%;width:{100 * width:.2f}%;--line:{line:.1f}%">'
        f'<div class="values {side}"><b>{escape(item.title)}</b><dl>{values}</dl></div></li>'
    )


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1) -> str:
    """A table in a scrollable box; None becomes a dash.

    Args:
        caption: Names the table and, for assistive technology, its box.
        head: Column headings.
        rows: Cells, one per heading; the first cell of a row is the row's heading.
        text_columns: Leading columns with text; the others hold numbers and are aligned to the right.
    """
    classes = ["" if column < text_columns else ' class="number"' for column in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, classes, strict=True))
    body = []
    for row in rows:
        cells = ["–" if cell is None else escape(str(cell)) for cell in row]
        rest = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells[1:], classes[1:], strict=True))
        body.append(f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>')
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def definitions(entries: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    return "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in entries) + "</dl>"


def image_uri(content: bytes, kind: Literal["png", "gif"] = "png") -> str:
    """An image's bytes as a ``data:`` URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
