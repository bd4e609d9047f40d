"""Decodes one image to 8 bits, and checks its size, colour and depth against the configuration."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.config.data import DataConfig, size_read
from pipeline.system.errors import StraightflowError, one_line

FORMATS = (
    "PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "PCX", "QOI",
)  # fmt: skip
"""Pillow's formats that hold pixels. Some of its others run programs (EPS) or open without pixels (HDF5)."""
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".ico", ".pcx", ".qoi",
))  # fmt: skip
"""File name extensions of these formats, in lower case."""
FOREIGN_SUFFIXES = frozenset((
    ".heic", ".heif", ".jxl", ".svg", ".eps", ".psd", ".xcf", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".exr", ".hdr",
    ".icns", ".dds", ".sgi", ".xbm", ".xpm",
))  # fmt: skip
"""File name extensions of picture formats that are not supported."""
GREY_MODES = ("L", "1", "LA")
# Pillow's conversion would cut deeper images to 8 bits, most of them to plain white.
DEEP_MODES = ("I", "F")


def decode_image(encoded: bytes, config: DataConfig, where: str) -> np.ndarray:
    """Decodes one image, turned as its EXIF data say: uint8, (channels, height, width).

    Args:
        encoded: Content of an image file.
        config: What images should be like.
        where: Names the image in messages.

    Raises:
        StraightflowError: If it is unreadable, or not as configured.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_formats()) as image:
            problem = image_problem(image, config, where)
            if problem is None:
                upright = ImageOps.exif_transpose(image)
                array = np.asarray(upright.convert("L" if config.channels == 1 else "RGB"))
    except UnidentifiedImageError as error:
        raise unreadable_image(where, f"content in none of the formats {', '.join(_formats())}") from error
    except Exception as error:  # on foreign bytes a decoder may raise anything
        raise unreadable_image(where, one_line(error)) from error
    if problem is not None:
        raise problem
    image_array = array[None] if config.channels == 1 else array.transpose(2, 0, 1)
    around = (config.padding, config.padding)
    return np.pad(image_array, ((0, 0), around, around)) if config.padding else image_array


@cache
def _formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def image_problem(image: Image.Image, config: DataConfig, where: str) -> StraightflowError | None:
    """What is wrong with an image, if anything; ``where`` names it."""
    height, width = size_read(config)
    if image.size != (width, height):
        return StraightflowError(
            expected=f"images of {height}×{width} (height×width)",
            found=f"{image.size[1]}×{image.size[0]} at {where}",
            mend="set data.resolution (and data.padding, which it counts), or resize the images",
        )
    if image.mode.startswith(DEEP_MODES) or _has_deep_channels(image):
        return StraightflowError(
            expected="images of 8 bits a channel",
            found=f"mode {image.mode} at {where}" if image.mode.startswith(DEEP_MODES) else f"16 bits at {where}",
            mend="convert the images",
        )
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's second picture is a preview
        return StraightflowError(
            expected="images of one frame", found=f"several frames at {where}", mend="save each frame as an image"
        )
    if image.has_transparency_data and min(image.convert("RGBA").getchannel("A").tobytes()) < 255:
        return StraightflowError(
            expected="images without transparency",
            found=f"transparent pixels at {where}",
            mend="put the images on an opaque background",
        )
    if config.channels == 1 and image.mode not in GREY_MODES:
        return StraightflowError(
            expected="grey images, as data.channels: 1 says",
            found=f"mode {image.mode} at {where}",
            mend="set data.channels: 3",
        )
    return None


def unreadable_image(where: str, found: str) -> StraightflowError:
    """The error for an image that does not decode."""
    return StraightflowError(
        expected=f"a readable image at {where}",
        found=found,
        mend="repair it, or move it out of the data to leave it out",
    )


def _has_deep_channels(image: Image.Image) -> bool:
    """Whether Pillow would cut 16 bits to 8; the image's mode does not show it."""
    layouts = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format == "PPM":  # its second part is the largest value
        return any(isinstance(layout, tuple) and layout[1] > 255 for layout in layouts)
    return any(";16" in str(layout[0] if isinstance(layout, tuple) and layout else layout) for layout in layouts)
