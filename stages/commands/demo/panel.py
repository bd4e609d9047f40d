"""What the page shows of one model: an image, and what it took."""

from __future__ import annotations

import base64
from html import escape

from pipeline.data.png import encode_image
from pipeline.models.sampler import Sampler
from pipeline.models.timed_image import TimedImage, draw_timed

LARGEST_SIDE = 256
"""Pixels of the screen; images are enlarged by the largest whole number with which they fit."""


def draw_panel(name: str, sampler: Sampler, num_steps: int, seed: int, label: int | None) -> str:
    """HTML of one model's image.

    Args:
        name: Of the model.
        sampler: The model.
        num_steps: Of its solver.
        seed: Of the noise.
        label: Class, of models that have classes; None for the one that goes with the noise.

    Raises:
        StraightflowError: As :func:`pipeline.models.timed_image.draw_timed`.
    """
    return panel(name, seed, draw_timed(sampler, num_steps, seed, None if sampler.num_classes is None else label))


def panel(name: str, seed: int, drawn: TimedImage) -> str:
    """HTML of an image that was drawn.

    The image is the PNG that ``straightflow sample --files`` writes; it is enlarged by the browser, pixel by pixel.
    """
    steps = "1 step" if drawn.solver.steps == 1 else f"{drawn.solver.steps} steps"
    of_class = "" if drawn.label is None else f", class {drawn.label}"
    _, height, width = drawn.image.shape
    scale = max(1, LARGEST_SIDE // max(height, width))
    source = base64.b64encode(encode_image(drawn.image)).decode()
    title = escape(name)
    return (
        f"<figure><h2>{title}</h2>"
        f'<img src="data:image/png;base64,{source}" width="{scale * width}" height="{scale * height}" '
        f'alt="Image that {title} draws in {steps} from noise {seed}{of_class}" style="image-rendering: pixelated">'
        f'<figcaption role="status">{drawn.solver.label}, {steps}{of_class}: '
        f"<strong>{1000 * drawn.seconds:,.1f} ms</strong></figcaption></figure>"
    )
