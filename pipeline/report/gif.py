"""Encodes frames as a looping animation."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

LAST_MILLISECONDS = 1500
"""How long the last frame stays before the animation starts over."""


def encode_gif(frames: Sequence[Image.Image], milliseconds: int) -> bytes:
    """The frames as a looping GIF, ``milliseconds`` each, the last one for ``LAST_MILLISECONDS``."""
    stream = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()
