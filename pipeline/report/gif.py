"""Frames as an animation that starts over."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

LAST_MILLISECONDS = 1500
"""How long the last frame, which shows where everything arrived, stays before the animation starts over."""


def encode_gif(frames: Sequence[Image.Image], milliseconds: int) -> bytes:
    """The frames as a GIF without end, ``milliseconds`` each, the last one longer."""
    stream = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()
