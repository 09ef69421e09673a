"""Head shots of the rows of `wrodl`, drawn in flat inks of a fixed palette of 256 colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw

from gdl_jax.data.wrodl import ATTRIBUTES

INKS = {
    "none": (0, 0, 0),
    "sky": (206, 232, 245),
    "skin": (241, 194, 150),
    "shade": (214, 160, 116),
    "eye": (52, 44, 46),
    "mouth": (168, 66, 66),
    "cloth": (236, 236, 228),
    "frame": (34, 38, 46),
    "lens": (74, 82, 96),
    **dict(
        zip(
            (f"hair {name}" for name in ATTRIBUTES["hairColor"]),
            ((38, 32, 36), (226, 190, 106), (122, 74, 40), (246, 158, 176), (176, 52, 28), (178, 182, 190)),
            strict=True,
        )
    ),
    **dict(
        zip(
            (f"clothe {name}" for name in ATTRIBUTES["clotheColor"]),
            (
                (48, 52, 60),
                (72, 152, 228),
                (142, 148, 156),
                (150, 220, 172),
                (248, 186, 124),
                (240, 92, 156),
                (214, 58, 58),
                (252, 252, 252),
            ),
            strict=True,
        )
    ),
}
"""Colours by name; the first is never drawn and stands for nothing."""

INDEX = {name: index for index, name in enumerate(INKS)}


def _colours() -> UInt8[np.ndarray, "256 3"]:
    levels = np.array([0, 51, 102, 153, 204, 255], np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    inks = np.array(list(INKS.values()), np.uint8)
    greys = np.linspace(0, 255, 256 - len(inks) - len(cube)).astype(np.uint8)
    return np.concatenate([inks, cube, np.repeat(greys[:, None], 3, axis=1)])


COLOURS = _colours()
"""RGB of the 256 colours; the inks come first, then a cube of 216 and greys, so that every index has a colour."""


class Pen:
    """Draws in one ink on a layer that is transparent elsewhere; coordinates from 0 to 1, y downwards."""

    def __init__(self, size: int):
        self.size = size
        self.image = Image.new("L", (size, size), 0)
        self.draw = ImageDraw.Draw(self.image)

    def pixels(self) -> UInt8[np.ndarray, "size size"]:
        """Indices into the palette; 0 is transparent."""
        return np.asarray(self.image).copy()

    def scaled(self, *coordinates: float) -> list[float]:
        """Centres of pixels."""
        return [coordinate * self.size - 0.5 for coordinate in coordinates]

    def ellipse(self, ink: str, x: float, y: float, rx: float, ry: float) -> None:
        """Filled, by its centre and half axes."""
        self.draw.ellipse(self.scaled(x - rx, y - ry, x + rx, y + ry), fill=INDEX[ink])

    def ring(self, ink: str, x: float, y: float, r: float, width: float) -> None:
        """A circle's line."""
        box = self.scaled(x - r, y - r, x + r, y + r)
        self.draw.ellipse(box, outline=INDEX[ink], width=max(1, round(width * self.size)))

    def box(self, ink: str, left: float, top: float, right: float, bottom: float) -> None:
        """Filled."""
        self.draw.rectangle(self.scaled(left, top, right, bottom), fill=INDEX[ink])

    def shape(self, ink: str, *corners: tuple[float, float]) -> None:
        """A filled polygon."""
        self.draw.polygon([tuple(self.scaled(*corner)) for corner in corners], fill=INDEX[ink])

    def arc(self, ink: str, x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> None:
        """A part of an ellipse's line, clockwise in degrees from the right."""
        box = self.scaled(x - rx, y - ry, x + rx, y + ry)
        self.draw.arc(box, start, end, fill=INDEX[ink], width=max(1, round(width * self.size)))


def _behind(pen: Pen, top: str, ink: str) -> None:
    """Hair behind the head and on the shoulders."""
    if top == "LongHairStraight":
        pen.ellipse(ink, 0.5, 0.42, 0.27, 0.30)
        pen.box(ink, 0.23, 0.42, 0.77, 0.86)
    elif top == "LongHairCurly":
        for i in range(9):
            angle = np.pi * (1.15 + i * 1.3 / 8 - 0.3)
            pen.ellipse(ink, 0.5 + 0.27 * np.cos(angle), 0.40 + 0.26 * np.sin(angle), 0.11, 0.11)
        for y in (0.52, 0.64, 0.75):
            pen.ellipse(ink, 0.25, y, 0.11, 0.10)
            pen.ellipse(ink, 0.75, y, 0.11, 0.10)
    elif top == "LongHairBun":
        pen.ellipse(ink, 0.5, 0.12, 0.12, 0.11)
        pen.ellipse(ink, 0.5, 0.38, 0.23, 0.25)


def _clothes(pen: Pen, kind: str, ink: str) -> None:
    body = [
        (0.08, 1.05),
        (0.12, 0.86),
        (0.26, 0.77),
        (0.40, 0.73),
        (0.60, 0.73),
        (0.74, 0.77),
        (0.88, 0.86),
        (0.92, 1.05),
    ]
    if kind == "Overall":
        pen.shape("cloth", *body)
        pen.box(ink, 0.28, 0.86, 0.72, 1.05)
        pen.box(ink, 0.28, 0.76, 0.36, 0.88)
        pen.box(ink, 0.64, 0.76, 0.72, 0.88)
    else:
        pen.shape(ink, *body)
    if kind == "Hoodie":
        pen.arc("shade", 0.5, 0.74, 0.21, 0.14, 0, 180, 0.035)
        pen.box("cloth", 0.41, 0.88, 0.44, 0.98)
        pen.box("cloth", 0.56, 0.88, 0.59, 0.98)
        pen.ellipse("skin", 0.5, 0.73, 0.10, 0.08)
    elif kind == "ShirtVNeck":
        pen.shape("skin", (0.37, 0.72), (0.63, 0.72), (0.5, 0.94))
    else:
        pen.ellipse("skin", 0.5, 0.73, 0.15 if kind == "ShirtScoopNeck" else 0.10, 0.11)


def _face(pen: Pen) -> None:
    """The same on all pictures."""
    pen.box("skin", 0.42, 0.56, 0.58, 0.76)
    pen.arc("shade", 0.5, 0.58, 0.10, 0.12, 25, 155, 0.03)
    pen.ellipse("skin", 0.30, 0.45, 0.035, 0.05)
    pen.ellipse("skin", 0.70, 0.45, 0.035, 0.05)
    pen.ellipse("skin", 0.5, 0.42, 0.20, 0.25)
    pen.ellipse("eye", 0.42, 0.41, 0.025, 0.03)
    pen.ellipse("eye", 0.58, 0.41, 0.025, 0.03)
    pen.box("shade", 0.485, 0.46, 0.515, 0.50)
    pen.arc("mouth", 0.5, 0.52, 0.08, 0.07, 20, 160, 0.032)


def _before(pen: Pen, top: str, ink: str) -> None:
    """Hair over the forehead."""
    if top == "NoHair":
        return
    cap = [
        (0.29, 0.44),
        (0.28, 0.32),
        (0.33, 0.20),
        (0.42, 0.14),
        (0.58, 0.14),
        (0.67, 0.20),
        (0.72, 0.32),
        (0.71, 0.44),
    ]
    fringe = {
        "LongHairBun": [(0.67, 0.32), (0.5, 0.24), (0.33, 0.32)],
        "LongHairCurly": [(0.66, 0.33), (0.58, 0.26), (0.5, 0.31), (0.42, 0.26), (0.34, 0.33)],
        "LongHairStraight": [(0.67, 0.40), (0.62, 0.24), (0.40, 0.28), (0.33, 0.40)],
        "ShortHairShortWaved": [(0.68, 0.34), (0.60, 0.25), (0.52, 0.31), (0.44, 0.25), (0.34, 0.33)],
        "ShortHairShortFlat": [(0.68, 0.36), (0.66, 0.25), (0.34, 0.25), (0.32, 0.36)],
        "ShortHairFrizzle": [(0.68, 0.32), (0.58, 0.27), (0.42, 0.27), (0.32, 0.32)],
    }[top]
    pen.shape(ink, *cap, *fringe)
    if top == "ShortHairShortWaved":
        for x in (0.34, 0.45, 0.56, 0.66):
            pen.ellipse(ink, x, 0.18, 0.08, 0.07)
    elif top == "ShortHairFrizzle":
        for x, height in ((0.34, 0.10), (0.42, 0.04), (0.5, 0.02), (0.58, 0.04), (0.66, 0.10)):
            pen.shape(ink, (x - 0.06, 0.22), (x, height), (x + 0.06, 0.22))


def _glasses(pen: Pen, kind: str) -> None:
    if kind == "Blank":
        return
    if kind == "Sunglasses":
        for x in (0.41, 0.59):
            pen.shape("lens", (x - 0.08, 0.37), (x + 0.08, 0.37), (x + 0.06, 0.46), (x - 0.06, 0.46))
        pen.box("frame", 0.31, 0.35, 0.69, 0.375)
    else:
        for x in (0.41, 0.59):
            pen.ring("frame", x, 0.415, 0.075, 0.022)
        pen.box("frame", 0.485, 0.40, 0.515, 0.42)


def draw_indices(rows: Int[np.ndarray, "n 5"], size: int = 32) -> UInt8[np.ndarray, "n size size"]:
    """One index into `COLOURS` per pixel, without antialiasing.

    Args:
        rows: as `wrodl.load_rows`.
        size: height and width in pixels, 16 or more for attributes that can be told apart.
    """
    accessories, colours, clothes, hairs, tops = ATTRIBUTES.values()
    glasses, colour, kind, hair, top = rows.T

    def stack(paint: Callable[..., None], *names: Sequence[str]) -> UInt8[np.ndarray, "*names size size"]:
        layers = []
        for combination in np.ndindex(*map(len, names)):
            pen = Pen(size)
            paint(pen, *(options[i] for options, i in zip(names, combination, strict=True)))
            layers.append(pen.pixels())
        return np.reshape(layers, (*map(len, names), size, size))

    hair_inks, clothe_inks = [f"hair {name}" for name in hairs], [f"clothe {name}" for name in colours]
    layers = [
        stack(_behind, tops, hair_inks)[top, hair],
        stack(_clothes, clothes, clothe_inks)[kind, colour],
        stack(_face),
        stack(_before, tops, hair_inks)[top, hair],
        stack(_glasses, accessories)[glasses],
    ]
    picture = np.full((len(rows), size, size), INDEX["sky"], np.uint8)
    for layer in layers:
        picture = np.where(layer == 0, picture, layer)
    return picture


def draw_avatars(rows: Int[np.ndarray, "n 5"], size: int = 64) -> UInt8[np.ndarray, "n size size 3"]:
    """The same in RGB with smooth edges, for people to look at."""
    factor = 4
    large = COLOURS[draw_indices(rows, factor * size)]
    blocks = large.reshape(len(rows), size, factor, size, factor, 3)
    return np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
