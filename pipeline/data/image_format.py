"""Whether one image is what the configuration says: size, colour, readable."""

from __future__ import annotations

from PIL.Image import DecompressionBombError, Image

from pipeline.config.data import DataConfig
from pipeline.system.errors import StraightflowError, one_line

# What Pillow raises for a file that is no image, a broken one, or one of absurd size.
UNREADABLE = (OSError, ValueError, SyntaxError, DecompressionBombError)
GREY_MODES = ("L", "1", "LA")
# Deeper images would be cut to 8 bits by Pillow's conversion, most of them to plain white.
DEEP_MODES = ("I", "F")


def image_problem(image: Image, config: DataConfig, where: str) -> StraightflowError | None:
    """What is wrong with an image, if anything; ``where`` names it."""
    if image.size != (config.resolution, config.resolution):
        return StraightflowError(
            expected=f"images of {config.resolution}×{config.resolution}",
            found=f"{image.size[0]}×{image.size[1]} at {where}",
            mend="set data.resolution, or resize the images",
        )
    if image.mode.startswith(DEEP_MODES):
        return StraightflowError(
            expected="images of 8 bits a channel", found=f"mode {image.mode} at {where}", mend="convert the images"
        )
    if image.has_transparency_data and min(image.convert("RGBA").getchannel("A").tobytes()) < 255:
        return StraightflowError(
            expected="images without transparency",
            found=f"transparent pixels at {where}",
            mend="lay the images over a background",
        )
    if config.channels == 1 and image.mode not in GREY_MODES:
        return StraightflowError(
            expected="grey images, as data.channels: 1 says",
            found=f"mode {image.mode} at {where}",
            mend="set data.channels: 3",
        )
    return None


def unreadable_image(where: str, error: Exception) -> StraightflowError:
    """The error for an image that does not decode."""
    return StraightflowError(
        expected=f"a readable image at {where}",
        found=one_line(error),
        mend="repair or remove it",
    )
