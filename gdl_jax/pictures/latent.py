"""Points of a two-dimensional latent space, coloured by class: as SVG for a page, as pixels for a PNG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from gdl_jax.pictures.curves import PALETTE, Axis, Number, axes, colour, legend, limits

SIDE = 480
MARGIN = 44
DOT = 4

PAPER, INK, RULE = "#ffffff", "#3b4350", "#e3e6ea"
OVERSAMPLING = 2  # Pillow draws without antialiasing: draw larger, then shrink


def scatter(points: Float[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"], classes: Sequence[str]) -> str:
    """Scatter plot as an `<svg>` element for a page.

    Args:
        points: any range; a point with a NaN or an infinity is left out.
        labels: index into `classes` of each point. The ten colours repeat for more classes than that.
        classes: names for the legend.

    Returns:
        Well-formed XML without a namespace.

    Raises:
        ValueError: a label that is no index into `classes`.
    """
    points, labels = _drawable(points, labels, classes)
    names = legend([(name, colour(index)) for index, name in enumerate(classes)], left=4, top=4, width=SIDE)
    top = names.height + 12
    x, y = _axes(points, left=MARGIN, right=SIDE - 8, top=top, bottom=top + SIDE - MARGIN - 8)

    across, down = x.place(points[:, 0]), y.place(points[:, 1])
    clouds = [_cloud(across[labels == index], down[labels == index], index) for index in range(len(classes))]
    height = y.start + 24
    return "\n".join(
        [
            f'<svg class="scatter" viewBox="0 0 {SIDE} {height:.0f}" role="img" aria-label="latent space">',
            names.svg,
            axes(x, y),
            *clouds,
            "</svg>",
        ]
    )


def scatter_image(
    points: Float[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"], classes: Sequence[str], size: int = 640
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The same plot as RGB pixels on white, with its legend on the right.

    Args:
        points: any range; a point with a NaN or an infinity is left out.
        labels: index into `classes` of each point. The ten colours repeat for more classes than that.
        classes: names for the legend.
        size: width and height in pixels, 200 or more for numbers that can be read.

    Raises:
        ValueError: a label that is no index into `classes`.
    """
    points, labels = _drawable(points, labels, classes)
    unit = size * OVERSAMPLING / 640
    font = ImageFont.load_default(14 * unit)
    image = Image.new("RGB", (size * OVERSAMPLING, size * OVERSAMPLING), PAPER)
    draw = ImageDraw.Draw(image)

    beside = max((draw.textlength(name, font) for name in classes), default=0) + 36 * unit
    edge = size * OVERSAMPLING - 16 * unit
    x, y = _axes(points, left=56 * unit, right=edge - beside, top=16 * unit, bottom=edge - 24 * unit)
    _draw_axes(draw, x, y, font, unit)
    _draw_points(draw, x.place(points[:, 0]), y.place(points[:, 1]), labels, radius=2.5 * unit)
    _draw_legend(draw, classes, font, unit, left=x.end + 20 * unit, top=y.end)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def _drawable(
    points: Float[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"], classes: Sequence[str]
) -> tuple[Float[np.ndarray, "drawn 2"], Int[np.ndarray, " drawn"]]:
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError(f"Labels run from {labels.min()} to {labels.max()}, but there are {len(classes)} classes.")
    known = np.isfinite(points).all(axis=1)
    return points[known].astype(np.float64), labels[known]


def _axes(
    points: Float[np.ndarray, "n 2"], *, left: Number, right: Number, top: Number, bottom: Number
) -> tuple[Axis, Axis]:
    low_x, high_x = limits(points[:, 0])
    low_y, high_y = limits(points[:, 1])
    return Axis(low=low_x, high=high_x, start=left, end=right), Axis(low=low_y, high=high_y, start=bottom, end=top)


def _cloud(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], index: int) -> str:
    # A line of no length with a round cap is a dot: one path for thousands of points, a third of the size of circles.
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return (
        f'<path fill="none" stroke-linecap="round" stroke-width="{DOT}" stroke-opacity="0.7" '
        f'style="stroke:{colour(index)}" d="{dots}"/>'
    )


def _draw_axes(draw: ImageDraw.ImageDraw, x: Axis, y: Axis, font: ImageFont.FreeTypeFont, unit: float) -> None:
    for pixel, label in x.ticks():
        draw.line([(pixel, y.start), (pixel, y.end)], fill=RULE, width=round(unit))
        draw.text((pixel, y.start + 8 * unit), label, INK, font, anchor="mt")
    for pixel, label in y.ticks():
        draw.line([(x.start, pixel), (x.end, pixel)], fill=RULE, width=round(unit))
        draw.text((x.start - 8 * unit, pixel), label, INK, font, anchor="rm")
    draw.line([(x.start, y.end), (x.start, y.start), (x.end, y.start)], fill=INK, width=round(unit))


def _draw_points(
    draw: ImageDraw.ImageDraw,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    labels: Int[np.ndarray, " n"],
    radius: float,
) -> None:
    # In the order given, not class by class: otherwise the last class would cover the others wherever they mix.
    for a, b, label in zip(x.tolist(), y.tolist(), labels.tolist(), strict=True):
        draw.ellipse((a - radius, b - radius, a + radius, b + radius), fill=PALETTE[label % len(PALETTE)])


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str],
    font: ImageFont.FreeTypeFont,
    unit: float,
    *,
    left: Number,
    top: Number,
) -> None:
    for index, name in enumerate(classes):
        middle = top + (index * 22 + 8) * unit
        swatch = (left, middle - 5 * unit, left + 10 * unit, middle + 5 * unit)
        draw.ellipse(swatch, fill=PALETTE[index % len(PALETTE)])
        draw.text((left + 18 * unit, middle), name, INK, font, anchor="lm")
