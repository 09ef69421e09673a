"""What drawn faces are painted on: planes of pixels that know where they lie in the frame of each head.

Faces are painted a few at a time and each part only where it can be, so that the working arrays stay in the cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, UInt8

from gdl_jax.data.faces_geometry import Numbers
from gdl_jax.data.faces_people import Looks, People

PARTS = ("background", "skin", "hair", "brows", "eyes", "mouth", "beard", "glasses", "hat", "clothes")
"""What the values of a mask stand for. "mouth" is the lips and what is between them."""

Traits = TypeVar("Traits", People, Looks)
Colour = Float[np.ndarray, "n 3 1 1"] | tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Canvas:
    """What is being painted, and where its pixels are in the frame of each head.

    Attributes:
        image: RGB planes, 0 to 255.
        part: index into `PARTS`.
        u: to the right in the head's frame, in its units.
        v: down.
        pixels: per unit of the head's frame.
    """

    image: Float[np.ndarray, "3 n rows columns"]
    part: UInt8[np.ndarray, "n rows columns"]
    u: Float[np.ndarray, "n rows columns"]
    v: Float[np.ndarray, "n rows columns"]
    pixels: Float[np.ndarray, "n 1 1"]

    def around(self, x: Numbers | float, y: Numbers | float, radius: float) -> Canvas:
        """A view of the smallest rectangle that holds the discs of this radius round (x, y) of all heads."""
        near = (self.u - x) ** 2 + (self.v - y) ** 2 < (radius + 1 / self.pixels) ** 2
        rows, columns = (np.flatnonzero(near.any(axis=axes)) for axes in ((0, 2), (0, 1)))
        if not len(rows):
            return self._cut(slice(0), slice(0))
        return self._cut(slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))

    def _cut(self, rows: slice, columns: slice) -> Canvas:
        image, part, u, v = (values[..., rows, columns] for values in (self.image, self.part, self.u, self.v))
        return Canvas(image, part, u, v, self.pixels)

    def paint(
        self, colour: Colour, distance: Numbers, *, opacity: Numbers | float = 1.0, part: str | None = None
    ) -> None:
        """Lays a colour over what is inside, and notes the part if it is one."""
        cover = np.clip(0.5 - distance * self.pixels, 0, 1) * opacity
        for plane, channel in zip(self.image, channels(colour), strict=True):
            plane += (channel - plane) * cover
        if part is not None:
            self.part[distance < 0] = PARTS.index(part)

    def shade(self, factor: Numbers, distance: Numbers) -> None:
        """Multiplies what is inside."""
        cover = np.clip(0.5 - distance * self.pixels, 0, 1)
        self.image[...] *= 1 + (factor - 1) * cover


def spread(traits: Traits, which: slice | Bool[np.ndarray, " n"]) -> Traits:
    """Some of the traits, in float32 and with axes for rows and columns."""

    def prepare(values: np.ndarray) -> np.ndarray:
        chosen = values[which]
        chosen = chosen.astype(np.float32) if chosen.dtype == np.float64 else chosen
        return chosen if chosen.ndim > 2 else chosen[..., None, None]

    return type(traits)(**{field.name: prepare(getattr(traits, field.name)) for field in dataclasses.fields(traits)})


def paint_some(
    paint: Callable[[Canvas, People, Looks], None],
    canvas: Canvas,
    people: People,
    looks: Looks,
    which: Bool[np.ndarray, "n 1 1"],
) -> None:
    """Paints what only some have, on copies of their pictures."""
    which = which.ravel()
    if not which.any():
        return
    theirs = Canvas(
        canvas.image[:, which], *(values[which] for values in (canvas.part, canvas.u, canvas.v)), canvas.pixels[which]
    )
    paint(theirs, spread(people, which), spread(looks, which))
    canvas.image[:, which], canvas.part[which] = theirs.image, theirs.part


def channels(colour: Colour) -> list[Numbers | float]:
    """Red, green and blue of each picture's own colour, or of one for all."""
    return [colour[:, channel] for channel in range(3)] if isinstance(colour, np.ndarray) else list(colour)


def wave(x: Numbers) -> Numbers:
    """Nearly sin(2 pi x), from parabolas."""
    t = x - np.floor(x) - np.float32(0.5)
    return 8 * t * (2 * np.abs(t) - 1)


def spot(x: Numbers, y: Numbers, radius: Numbers | float) -> Numbers:
    """1 in the middle, falling smoothly to 0 at the radius."""
    return np.maximum(1 - (x * x + y * y) / (radius * radius), 0) ** 2
