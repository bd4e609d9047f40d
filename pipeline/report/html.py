"""Small pieces of HTML; all text is escaped."""

from __future__ import annotations

import base64
import importlib.resources
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Picture:
    """A figure for the page.

    Attributes:
        alt: Text alternative.
        light: Content of the file for a light background.
        dark: Content of the file for a dark background.
        kind: Format of both files.
    """

    alt: str
    light: bytes
    dark: bytes
    kind: Literal["png", "gif"] = "png"


def packaged_text(package: str, name: str) -> str:
    """Content of a text file in the folder of ``package``."""
    return (importlib.resources.files(package) / name).read_text("utf-8")


def picture(item: Picture) -> str:
    """A picture that follows the reader's colour scheme, light or dark."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{image_uri(item.dark, item.kind)}">'
        f'<img src="{image_uri(item.light, item.kind)}" alt="{escape(item.alt)}"></picture>'
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


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 pixels (height, width, 3) as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="png", optimize=True)
    return stream.getvalue()
