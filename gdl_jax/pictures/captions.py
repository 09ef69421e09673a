"""Pictures with words: titles, captions under images, names of rows, ticks round a grid, histograms of codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from gdl_jax.pictures.curves import PALETTE, Number
from gdl_jax.pictures.grid import grid
from gdl_jax.pictures.latent import INK, PAPER, RULE

FONT, LINE = 13, 18
"""Height of letters and of lines in pixels."""

PANEL_WIDTH, PANEL_HEIGHT = 120, 84
HISTOGRAM_REACH = 4.0
"""Histograms go from minus to plus so many."""

RGB = UInt8[np.ndarray, "picture_height picture_width 3"]
Images = UInt8[np.ndarray, "n height width channels"]


def zoomed(images: Images, width: int = 48) -> UInt8[np.ndarray, "n taller wider 3"]:
    """The images in RGB, each pixel repeated until they are at least so wide."""
    factor = max(1, -(-width // images.shape[2]))
    rgb = np.broadcast_to(images, (*images.shape[:3], 3)) if images.shape[3] == 1 else images
    return rgb.repeat(factor, axis=1).repeat(factor, axis=2)


def titled(picture: UInt8[np.ndarray, "height width channels"], title: str) -> UInt8[np.ndarray, "taller wider 3"]:
    """The picture under lines of text, widened where a word needs it."""
    height, width = picture.shape[:2]
    lines = _wrapped(title, max(width - 8, 200))
    canvas, draw = _blank(max(width, 8 + max(_length(line) for line in lines)), height + LINE * len(lines) + 8)
    for index, line in enumerate(lines):
        draw.text((4, 4 + LINE * index), line, INK, _font())
    return _pasted(canvas, picture, 0, LINE * len(lines) + 8)


def captioned(images: Images, captions: Sequence[str], columns: int) -> RGB:
    """A grid of images, each over its caption."""
    large = zoomed(images, max(48, max(_length(caption) for caption in captions)))
    n, height, width, _ = large.shape
    under = np.full((n, height + LINE, width, 3), 255, np.uint8)
    under[:, :height] = large
    for cell, caption in zip(under, captions, strict=True):
        bar, draw = _blank(width, LINE)
        draw.text((width / 2, LINE / 2), caption, INK, _font(), anchor="mm")
        cell[height:] = np.asarray(bar)
    return grid(under, columns=columns, gap=4)


def named_rows(images: UInt8[np.ndarray, "rows columns height width channels"], names: Sequence[str]) -> RGB:
    """Rows of images, each with its name on the left."""
    rows, columns = images.shape[:2]
    large = zoomed(images.reshape(-1, *images.shape[2:]), 40)
    picture = grid(large, columns=columns)
    margin = 10 + max(_length(name) for name in names)
    canvas, draw = _blank(margin + picture.shape[1], picture.shape[0])
    for row, name in enumerate(names):
        middle = (row + 0.5) * picture.shape[0] / rows
        draw.text((margin - 6, middle), name, INK, _font(), anchor="rm")
    return _pasted(canvas, picture, margin, 0)


def ticked(
    images: UInt8[np.ndarray, "rows columns height width channels"],
    x: Float[np.ndarray, " columns"],
    y: Float[np.ndarray, " rows"],
    names: tuple[str, str],
) -> RGB:
    """A grid without gaps, with the coordinate of each column below and of each row, from below, at the left.

    Args:
        images: the first row has the last y.
        x: of the columns.
        y: of the rows, upwards.
        names: of the two axes.
    """
    rows, columns, height, width, _ = images.shape
    picture = grid(zoomed(images.reshape(-1, *images.shape[2:]), 1), columns=columns, gap=0)
    left, below = 52, 2 * LINE + 4
    canvas, draw = _blank(left + picture.shape[1] + 12, picture.shape[0] + below + LINE)
    # No more numbers than have room.
    every_x, every_y = -(-40 // width), -(-LINE // height)
    for column in range(0, columns, every_x):
        draw.text(
            (left + (column + 0.5) * width, LINE + picture.shape[0] + 4), short(x[column]), INK, _font(), anchor="mt"
        )
    for row in range(0, rows, every_y):
        middle = LINE + picture.shape[0] - (row + 0.5) * height
        draw.text((left - 4, middle), short(y[row]), INK, _font(), anchor="rm")
    draw.text((left + picture.shape[1] / 2, canvas.height - 2), names[0], INK, _font(), anchor="mb")
    draw.text((left - 4, 2), names[1], INK, _font(), anchor="ra")
    return _pasted(canvas, picture, left, LINE)


def histograms(codes: Float[np.ndarray, "n latent"], names: Sequence[str], *, columns: int = 10, bins: int = 20) -> RGB:
    """The density of each dimension in bars, with that of N(0, 1) as a line."""
    panels = [_histogram(column, name, bins) for column, name in zip(codes.T, names, strict=True)]
    return grid(np.stack(panels), columns=min(columns, len(panels)), gap=6)


def _histogram(values: Float[np.ndarray, " n"], name: str, bins: int) -> RGB:
    canvas, draw = _blank(PANEL_WIDTH, PANEL_HEIGHT)
    floor, top, reach = PANEL_HEIGHT - 4, LINE, HISTOGRAM_REACH
    density, edges = np.histogram(values, bins=bins, range=(-reach, reach))
    density = density / max(len(values), 1) / (edges[1] - edges[0])
    # The normal's peak stands at two thirds of the height; what is higher is cut off.
    unit = (floor - top) * 2 / 3 * np.sqrt(2 * np.pi)
    scale = PANEL_WIDTH / (2 * reach)
    for value, start, end in zip(density, edges[:-1], edges[1:], strict=True):
        if value > 0:
            box = ((start + reach) * scale, max(top, floor - value * unit), (end + reach) * scale - 1, floor)
            draw.rectangle(box, fill=PALETTE[0])
    draw.line((0, floor, PANEL_WIDTH, floor), fill=RULE)
    x = np.linspace(-reach, reach, 121)
    y = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    draw.line(list(zip((x + reach) * scale, floor - y * unit, strict=True)), fill=PALETTE[1], width=2)
    draw.text((2, 1), name, INK, ImageFont.load_default(11))
    return np.asarray(canvas)


def short(value: Number) -> str:
    """A coordinate with one decimal, and no minus before a zero."""
    return f"{value:.1f}".replace("-0.0", "0.0")


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT)


def _length(text: str) -> int:
    return int(np.ceil(_font().getlength(text)))


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _length(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("RGB", (width, height), PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _pasted(canvas: Image.Image, picture: UInt8[np.ndarray, "height width channels"], left: int, top: int) -> RGB:
    pixels = np.array(canvas)
    pixels[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return pixels
