"""One way to turn an image file of any kind into uint8 pixels: depth, transparency, orientation, crop, size."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"})

Channels = Literal[1, 3]


@dataclass(frozen=True)
class Conversion:
    """What becomes of every image of a set.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        crop: side in pixels of the square that is cut from the centre first; None = see `fit`.
        size: output height and width in pixels; None = as it is after the crop.
    """

    channels: Channels
    crop: int | None = None
    size: int | None = None

    def __call__(self, file: Path | bytes) -> UInt8[np.ndarray, "height width channels"]:
        """Decodes one file (a path, or its bytes).

        Raises:
            OSError: the file is no image, or a damaged one.
        """
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            return self.of(upright(image))

    def of(self, image: Image.Image) -> UInt8[np.ndarray, "height width channels"]:
        """The same of an image that is open and upright."""
        return pixels(fit(eight_bit(image), crop=self.crop, size=self.size), self.channels)


def orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8 in EXIF's code; from 5 on, height and width change places."""
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def upright(image: Image.Image) -> Image.Image:
    """The image as it is to be seen, after its EXIF orientation."""
    # `exif_transpose` copies even an upright image, which takes a third of the time for a digit of MNIST.
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def is_colour(image: Image.Image) -> bool:
    """Whether the image's mode has colour; a palette counts as colour, and so does RGB in which all pixels are grey.

    Raises:
        ValueError: the mode is none that `eight_bit` can convert.
    """
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise ValueError(f"images of mode {image.mode} cannot be converted")
    return image.mode in COLOUR_MODES


def eight_bit(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB; what is transparent becomes white.

    Sixteen-bit values are scaled by 255/65535. In mode I (32 bits) values beyond 65535 mean that all 31 bits are used;
    in mode F values up to 1 mean that the range is [0, 1], else it is [0, 255].
    """
    mode = "RGB" if is_colour(image) else "L"
    if image.mode.startswith("I"):
        return _rescaled(image, 65535.0 if image.getextrema()[1] <= 65535 else 2.0**31 - 1)
    if image.mode == "F":
        return _rescaled(image, 1.0 if image.getextrema()[1] <= 1 else 255.0)
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def fit(image: Image.Image, *, crop: int | None, size: int | None) -> Image.Image:
    """Cuts a square from the centre and resizes it (bicubic, antialiased); unchanged when both are None.

    Args:
        image: mode L or RGB.
        crop: side of the square in pixels, at most the shorter side; None = the shorter side.
        size: side of the result; None = that of the square.
    """
    if crop is None and size is None:
        return image
    height, width = fitted_shape(image.height, image.width, crop=crop, size=size)
    side = _square(image.height, image.width, crop)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # `resize` takes a box too, but then the filter sees the pixels around it.
    square = image.crop((left, top, left + side, top + side))
    return square if square.size == (width, height) else square.resize((width, height), Image.Resampling.BICUBIC)


def fitted_shape(height: int, width: int, *, crop: int | None, size: int | None) -> tuple[int, int]:
    """Height and width of what `fit` makes of an image of this height and width."""
    if crop is None and size is None:
        return height, width
    side = size if size is not None else _square(height, width, crop)
    return side, side


def pixels(image: Image.Image, channels: Channels) -> UInt8[np.ndarray, "height width channels"]:
    """The values of an image of mode L or RGB, as grey (ITU-R 601 luma) or RGB."""
    mode = "RGB" if channels == 3 else "L"
    values = np.asarray(image if image.mode == mode else image.convert(mode))
    return values.reshape(image.height, image.width, channels)


def with_channels(
    images: UInt8[np.ndarray, "n height width stored"], channels: int | None
) -> UInt8[np.ndarray, "n height width channels"]:
    """A batch as grey (ITU-R 601 luma) or RGB (grey repeated); unchanged for None or when it is so already."""
    if channels is None or channels == images.shape[-1]:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    luma = images @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return np.rint(luma).astype(np.uint8)


def _square(height: int, width: int, crop: int | None) -> int:
    """Side of the central square that is used."""
    return min(height, width) if crop is None else min(crop, height, width)


def _rescaled(image: Image.Image, top: float) -> Image.Image:
    """A one-channel image with values in [0, top], in mode L."""
    values = np.clip(np.asarray(image).astype(np.float64), 0, top)
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))
