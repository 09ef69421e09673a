"""What a classifier says, drawn: images with their classes beneath, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from gdl_jax.metrics.classification import Confusion, accuracy
from gdl_jax.pictures.grid import grid

INK, RULE, WRONG, PAPER = "#3b4350", "#e3e6ea", "#b52f52", "#ffffff"
FULL = np.array([42, 102, 177])
"""The colour of a cell that holds its whole row."""

CELL, LINE, GAP = 72, 13, 8
MOST_NAMES = 32
FONT = ImageFont.load_default(11)


def predictions_grid(
    images: UInt8[np.ndarray, "num height width channels"],
    labels: Int[np.ndarray, " num"],
    predictions: Int[np.ndarray, " num"],
    classes: Sequence[str],
) -> UInt8[np.ndarray, "grid_height grid_width 3"]:
    """Images with the predicted class beneath; a wrong one is red, the image framed, and the true class stands below.

    Args:
        images: at least one, 0 to 255, grey or RGB; small ones are enlarged by a whole factor.
        labels: true classes.
        predictions: predicted classes.
        classes: their names; cut where they are wider than a cell.
    """
    _, height, width, channels = images.shape
    zoom = max(1, CELL // max(height, width))
    high, wide = zoom * height, zoom * width
    cells = []
    for image, label, prediction in zip(images, labels.tolist(), predictions.tolist(), strict=True):
        cell = Image.new("RGB", (max(wide, CELL) + GAP, high + GAP + 2 * LINE), PAPER)
        draw = ImageDraw.Draw(cell)
        left, top = (cell.width - wide) // 2, GAP // 2
        lines = [(classes[prediction], INK)]
        if label != prediction:
            draw.rectangle((left - 2, top - 2, left + wide + 1, top + high + 1), fill=WRONG)
            lines = [(classes[prediction], WRONG), (f"is {classes[label]}", INK)]
        enlarged = image.repeat(3 // channels, 2).repeat(zoom, 0).repeat(zoom, 1)
        cell.paste(Image.fromarray(enlarged), (left, top))
        for row, (text, colour) in enumerate(lines):
            place = (cell.width // 2, top + high + GAP // 2 + row * LINE)
            draw.text(place, shortened(text, cell.width - 4), colour, FONT, anchor="mt")
        cells.append(np.asarray(cell))
    return grid(np.stack(cells), gap=0)


def confusion_picture(
    confusion: Confusion, classes: Sequence[str]
) -> UInt8[np.ndarray, "picture_height picture_width 3"]:
    """The confusion matrix as a table of counts, a row per true class, shaded by the share of its row.

    Args:
        confusion: see `confusion_matrix`.
        classes: the names of rows and columns. Beyond 32 classes there are shades alone.
    """
    count = len(classes)
    names = [shortened(name, 100) for name in classes] if count <= MOST_NAMES else []
    side = max(28, min(50, 640 // count)) if names else max(2, 800 // count)
    margin = 2 * GAP + round(max(map(FONT.getlength, names), default=0))
    title = f"rows: true class, columns: predicted; accuracy {accuracy(confusion):.2%}, {confusion.sum():,} images"

    left, top, end = margin, margin + LINE, side * count
    width = max(left + end, GAP + round(FONT.getlength(title))) + GAP
    picture = Image.new("RGB", (width, top + end + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((GAP, GAP // 2), title, INK, FONT)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colours = np.rint(255 + shares[..., None] * (FULL - 255)).astype(np.uint8)
    picture.paste(Image.fromarray(colours.repeat(side, 0).repeat(side, 1)), (left, top))
    for index, name in enumerate(names):
        start = side * index
        draw.line((left, top + start, left + end, top + start), RULE)
        draw.line((left + start, top, left + start, top + end), RULE)
        draw.text((left - GAP // 2, top + start + side // 2), name, INK, FONT, anchor="rm")
        upright = Image.new("L", (margin, LINE))
        ImageDraw.Draw(upright).text((GAP // 2, LINE // 2), name, 255, FONT, anchor="lm")
        picture.paste(INK, (left + start + (side - LINE) // 2, LINE), upright.rotate(90, expand=True))
        for other in np.flatnonzero(confusion[index]).tolist():
            colour = PAPER if shares[index, other] > 0.5 else INK
            place = (left + side * other + side // 2, top + start + side // 2)
            draw.text(place, f"{confusion[index, other]}", colour, FONT, anchor="mm")
    return np.asarray(picture)


def shortened(text: str, width: float | int) -> str:
    """The text, cut with an ellipsis where it is wider than so many pixels."""
    whole = text
    while text and FONT.getlength(text if text == whole else text + "…") > width:
        text = text[:-1]
    return text if text == whole else text + "…"
