"""Small photographs, drawn: a sky that darkens upwards over a ground, with a house and a sun somewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 32


def save_photographs(folder: Path, count: int) -> None:
    """Saves ``count`` of them, of 32×32 pixels, as PNG; which way is up can be seen in each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        horizon = int(rng.integers(12, 24))
        sky, ground, wall = (
            tuple(int(level) for level in rng.integers(low, low + 60, size=3)) for low in (180, 40, 110)
        )
        image = Image.new("RGB", (SIDE, SIDE), ground)
        draw = ImageDraw.Draw(image)
        for line in range(horizon):
            shade = 0.5 + 0.5 * line / horizon
            draw.line((0, line, SIDE, line), fill=tuple(int(level * shade) for level in sky))
        left, top, sun = (int(place) for place in (rng.integers(20), horizon - rng.integers(4, 10), rng.integers(26)))
        draw.rectangle((left, top, left + 10, horizon), fill=wall)
        draw.ellipse((sun, 2, sun + 5, 7), fill=(255, 240, 190))
        image.save(folder / f"{number:04d}.png")
