"""Batches of images as one picture, and pictures as files that are never half written."""

from __future__ import annotations

import math
import os

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gdl_jax.files import write_atomically

BACKGROUND = 255
GAP = 2
VISIBLE_WIDTH = 512
LARGEST_HEIGHT = 4096


def grid(
    images: UInt8[np.ndarray, "n height width channels"], columns: int | None = None, gap: int = GAP
) -> UInt8[np.ndarray, "grid_height grid_width channels"]:
    """Images in reading order, with `gap` white pixels between neighbours and none round the edge.

    Args:
        images: at least one image, 0 to 255.
        columns: images in a row; by default ceil(sqrt(n)), the most nearly square grid. Cells of the last row that
            have no image are white.
        gap: pixels between neighbours.

    Returns:
        One picture with the channels of `images`.

    Raises:
        ValueError: no image, no column or a negative gap.
    """
    count, height, width, channels = images.shape
    if count == 0:
        raise ValueError("A grid needs at least one image, got a batch of none.")
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    if columns < 1 or gap < 0:
        raise ValueError(f"A grid needs columns >= 1 and gap >= 0, got columns={columns} and gap={gap}.")
    lines = math.ceil(count / columns)

    cells = np.full((lines * columns, height + gap, width + gap, channels), BACKGROUND, np.uint8)
    cells[:count, :height, :width] = images
    cells = cells.reshape(lines, columns, height + gap, width + gap, channels)
    canvas = cells.swapaxes(1, 2).reshape(lines * (height + gap), columns * (width + gap), channels)
    return canvas[: lines * (height + gap) - gap, : columns * (width + gap) - gap]


def strip(
    images: UInt8[np.ndarray, "n height width channels"], gap: int = GAP
) -> UInt8[np.ndarray, "height strip_width channels"]:
    """All images in one row: an interpolation, the steps of a sampler.

    Raises:
        ValueError: no image, or a negative gap.
    """
    return grid(images, columns=max(len(images), 1), gap=gap)


def rows(
    *batches: UInt8[np.ndarray, "_n _height _width _channels"], gap: int = GAP
) -> UInt8[np.ndarray, "rows_height rows_width channels"]:
    """One batch per row, so that column i shows what became of example i: originals over reconstructions.

    Args:
        *batches: batches of equally many images of one size. Grey ones become RGB where another one is RGB.
        gap: pixels between neighbours.

    Raises:
        ValueError: no batch, or batches that differ in number or size of their images.
    """
    if not batches:
        raise ValueError("rows() needs at least one batch of images.")
    if len({batch.shape[:3] for batch in batches}) > 1:
        shapes = " and ".join(str(batch.shape) for batch in batches)
        raise ValueError(f"All rows need equally many images of one size, got {shapes}.")
    channels = max(batch.shape[3] for batch in batches)
    alike = [np.broadcast_to(batch, (*batch.shape[:3], channels)) for batch in batches]
    return grid(np.concatenate(alike), columns=max(len(batches[0]), 1), gap=gap)


def visible_zoom(height: int, width: int) -> int:
    """The smallest whole factor that makes a picture 512 pixels wide, unless it would become very tall."""
    return max(1, min(math.ceil(VISIBLE_WIDTH / width), LARGEST_HEIGHT // height))


def save_png(
    path: str | os.PathLike[str],
    picture: UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width channels"],
    zoom: int | None = None,
) -> None:
    """Write a grey or RGB picture; whoever reads the file finds the whole old or the whole new one.

    Args:
        path: file to write; missing folders are created.
        picture: 0 to 255, with 1 or 3 channels or none.
        zoom: each pixel becomes zoom x zoom pixels; 1 keeps the size; by default `visible_zoom`.

    Raises:
        ValueError: another number of channels, or zoom < 1.
    """
    image = _enlarged(picture, zoom)
    write_atomically(path, lambda file: image.save(file, format="PNG", optimize=True))


def save_gif(
    path: str | os.PathLike[str],
    frames: UInt8[np.ndarray, "time height width channels"],
    milliseconds: int = 100,
    zoom: int | None = None,
) -> None:
    """Write frames as an animation that repeats for ever, as atomically as `save_png`.

    Args:
        path: file to write; missing folders are created.
        frames: at least one frame, 0 to 255, grey or RGB; RGB is reduced to 256 colours by the format.
        milliseconds: how long each frame stays; the format counts in hundredths of a second, and browsers slow down
            what is faster than 20 ms.
        zoom: as in `save_png`.

    Raises:
        ValueError: no frame, milliseconds < 10, a number of channels that is not 1 or 3, or zoom < 1.
    """
    if len(frames) == 0 or milliseconds < 10:
        raise ValueError(f"A GIF needs a frame and >= 10 ms for it, got {len(frames)} frames of {milliseconds} ms.")
    first, *others = [_enlarged(frame, zoom) for frame in frames]
    write_atomically(
        path,
        lambda file: first.save(
            file, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, disposal=1
        ),
    )


def _enlarged(
    picture: UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width channels"], zoom: int | None
) -> Image.Image:
    if picture.ndim == 3 and picture.shape[2] not in (1, 3):
        raise ValueError(f"A picture has 1 channel (grey) or 3 (RGB), got shape {picture.shape}.")
    zoom = visible_zoom(*picture.shape[:2]) if zoom is None else zoom
    if zoom < 1:
        raise ValueError(f"zoom is a whole factor >= 1, got {zoom}.")
    flat = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return Image.fromarray(np.ascontiguousarray(flat.repeat(zoom, axis=0).repeat(zoom, axis=1)))
