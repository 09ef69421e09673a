"""Where the parts of a drawn face are: signed distances of its forms, the turning of the head, and 68 landmarks.

Lengths and axes are those of `faces_people`. The face lies on an ellipsoid: a point of it is turned about the vertical
and the horizontal axis and projected along the third, and a part there is narrowed as its tangent plane is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gdl_jax.data.faces_people import Looks, People

Numbers = Float[np.ndarray, "..."]

DEPTH, PIVOT = 0.7, 0.45
"""Half axis of the ellipsoid towards the viewer, and how far before its centre the axis of a nod lies."""

EYE_Y, BROW_Y, MOUTH_Y = -0.08, -0.33, 0.56
CRANIUM_Y, JAW_Y = -0.14, 0.38
LOWER_LID = 0.6
LIP_REST = 0.012
"""Half the height of the dark line between closed lips."""

INNER = 0.86
"""Width of the opening of the mouth, of that of the lips; both bend along the same parabola."""

LEFT, RIGHT = -1.0, 1.0
UPPER, LOWER = -1.0, 1.0

BISECTIONS = 30


# Forms: signed distances, negative inside, exact on the contour and to first order beside it.


def ellipse(x: Numbers, y: Numbers, rx: Numbers | float, ry: Numbers | float) -> Numbers:
    """With half axes rx and ry."""
    a, b = x / rx, y / ry
    level = np.sqrt(a * a + b * b)
    slope = np.sqrt((a / rx) ** 2 + (b / ry) ** 2)
    return level * (level - 1) / np.maximum(slope, 1e-6)


def rounded_box(x: Numbers, y: Numbers, rx: Numbers | float, ry: Numbers | float, corner: Numbers | float) -> Numbers:
    """With half sides rx and ry, both at least the radius of the corners."""
    a, b = np.abs(x) - rx + corner, np.abs(y) - ry + corner
    outside = np.sqrt(np.maximum(a, 0) ** 2 + np.maximum(b, 0) ** 2)
    return outside + np.minimum(np.maximum(a, b), 0) - corner


def lens(
    x: Numbers,
    y: Numbers,
    width: Numbers,
    up: Numbers | float,
    down: Numbers | float,
    bend: Numbers | float = 0.0,
    slant: Numbers | float = 0.0,
) -> Numbers:
    """Between two parabolas that meet in the corners: see `lens_point`."""
    t = x / width
    arch = 1 - t * t
    y = y - bend * t * t - slant * t
    upper, lower = (2 * t * (bend + up) + slant) / width, (2 * t * (bend - down) + slant) / width
    above = (-up * arch - y) / np.sqrt(1 + upper * upper)
    return np.maximum(above, (y - down * arch) / np.sqrt(1 + lower * lower))


def lens_point(
    t: float, side: float, width: Numbers, up: Numbers, down: Numbers, bend: Numbers | float, slant: Numbers | float
) -> tuple[Numbers, Numbers]:
    """A point of the contour of `lens`: t from -1 (left corner) to 1, on the side `UPPER` or `LOWER`."""
    reach = np.where(side < 0, -up, down) * (1 - t * t)
    return t * width, reach + bend * t * t + slant * t


def smooth_union(first: Numbers, second: Numbers, radius: float) -> Numbers:
    """Both forms, joined by a fillet: the polynomial minimum."""
    near = np.maximum(radius - np.abs(first - second), 0) / radius
    return np.minimum(first, second) - near * near * (radius / 4)


# The head.


@dataclass(frozen=True, eq=False)
class Part:
    """A part after the head was turned: its place, and by what its widths are multiplied."""

    x: Numbers
    y: Numbers
    stretch: Numbers


@dataclass(frozen=True, eq=False)
class Mouth:
    """Half axes of the outer and the inner contour; `bend` is where the corners lie against the centre line."""

    width: Numbers
    up: Numbers
    down: Numbers
    inner_width: Numbers
    inner_up: Numbers
    inner_down: Numbers
    bend: Numbers


def place(people: People, looks: Looks, x: Numbers | float, y: Numbers | float, lift: float = 0.0) -> Part:
    """A point (x, y) of the face, `lift` above it, after turn and nod."""
    squared = 1 - (x / people.head_width) ** 2 - (y / 1.15) ** 2
    z = DEPTH * np.sqrt(np.maximum(squared, 0.08))
    # The tangent of the ellipsoid: dz/dx = -(DEPTH / width)^2 x / z.
    slope = -((DEPTH / people.head_width) ** 2) * x / z
    cos, sin = np.cos(looks.turn), np.sin(looks.turn)
    return Part(
        x=x * cos + (z + lift) * sin,
        y=y * np.cos(looks.nod) + (z + lift - PIVOT) * np.sin(looks.nod),
        stretch=np.clip(cos + slope * sin, 0.45, 1.12),
    )


def head(people: People, looks: Looks, x: Numbers, y: Numbers) -> Numbers:
    """The outline: a cranium and a jaw, which opens with the mouth and goes with the turn."""
    sideways, nod = np.sin(looks.turn), np.sin(looks.nod)
    cranium = ellipse(x + 0.05 * sideways, y - CRANIUM_Y, people.head_width, 0.86)
    length = people.chin - JAW_Y + 0.08 * looks.open
    jaw = ellipse(x - 0.16 * sideways, y - JAW_Y - 0.15 * nod, people.jaw_width, length)
    return smooth_union(cranium, jaw, 0.3)


def eye(people: People, looks: Looks, side: float) -> tuple[Part, tuple[Numbers, ...]]:
    """The eye on one side of the picture, and its lens."""
    part = place(people, looks, side * people.eye_distance, EYE_Y)
    narrowed = 1 - 0.3 * np.maximum(looks.smile, 0)
    shape = (
        people.eye_width * part.stretch,
        people.eye_height * looks.lids,
        LOWER_LID * people.eye_height * narrowed * np.minimum(1, 0.4 + looks.lids),
        0.0 * looks.lids,
        -side * people.eye_slant,
    )
    return part, shape


def brow(people: People, looks: Looks, side: float) -> tuple[Part, tuple[Numbers, ...]]:
    """The brow on one side, and its lens."""
    part = place(people, looks, side * (people.eye_distance + 0.01), BROW_Y)
    half = people.brow_thickness
    shape = (1.15 * people.eye_width * part.stretch, half, half, people.brow_arch, -side * people.brow_slant)
    return part, shape


def nose(people: People, looks: Looks) -> tuple[Part, Part]:
    """Its root between the eyes, and its tip."""
    root = place(people, looks, 0.0 * looks.turn, EYE_Y, 0.05)
    return root, place(people, looks, 0.0 * looks.turn, EYE_Y + people.nose_length, 0.2)


def mouth(people: People, looks: Looks) -> tuple[Part, Mouth]:
    """The mouth; a smile widens it and lifts its corners."""
    part = place(people, looks, 0.0 * looks.turn, MOUTH_Y + 0.02 * looks.open, 0.04)
    width = people.mouth_width * (1 + 0.16 * looks.smile - 0.16 * looks.open) * part.stretch
    up, down = LIP_REST + 0.05 * looks.open, LIP_REST + 0.17 * looks.open
    lips = people.lip_thickness
    return part, Mouth(
        width=width,
        up=up + lips,
        down=down + 1.25 * lips,
        inner_width=INNER * width,
        inner_up=up,
        inner_down=down,
        bend=-0.085 * looks.smile,
    )


# Landmarks.


def landmarks(people: People, looks: Looks) -> Float[np.ndarray, "n 68 2"]:
    """The 68 points of iBUG 300-W (Sagonas et al. 2013), x and y in units of the image, 0 = left or upper edge.

    From 0 on: 17 along the jaw, 5 of each brow, 4 down the nose, 5 under it, 6 round each eye, 12 round the lips, 8
    round the opening. What the text calls the right eye is on the left of the picture, and comes first.
    """
    found = _jaw(people, looks)
    for side in (LEFT, RIGHT):
        part, (width, up, _, bend, slant) = brow(people, looks, side)
        line = 0.0 * up
        found += [_at(part, *lens_point(t, UPPER, width, line, line, bend, slant)) for t in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    root, tip = nose(people, looks)
    found += [(root.x + f * (tip.x - root.x), root.y + f * (tip.y - root.y)) for f in (0.0, 1 / 3, 2 / 3, 1.0)]
    found += [
        _at(tip, t * people.nose_width * tip.stretch, 0.05 + 0.03 * (1 - t * t) + 0.0 * tip.x)
        for t in (-0.8, -0.4, 0.0, 0.4, 0.8)
    ]
    for side in (LEFT, RIGHT):
        part, shape = eye(people, looks, side)
        upper, lower = [(t, UPPER) for t in (-1.0, -0.35, 0.35, 1.0)], [(t, LOWER) for t in (0.35, -0.35)]
        found += [_at(part, *lens_point(t, lid, *shape)) for t, lid in upper + lower]
    part, m = mouth(people, looks)
    upper, lower = [(t / 3, UPPER) for t in range(-3, 4)], [(t / 3, LOWER) for t in range(2, -3, -1)]
    found += [_at(part, *lens_point(t, lip, m.width, m.up, m.down, m.bend, 0.0)) for t, lip in upper + lower]
    upper, lower = [(t / 2, UPPER) for t in range(-2, 3)], [(t / 2, LOWER) for t in range(1, -2, -1)]
    inner = (m.inner_width, m.inner_up, m.inner_down, INNER**2 * m.bend, 0.0)
    found += [_at(part, *lens_point(t, lip, *inner)) for t, lip in upper + lower]
    x, y = (np.stack(values, axis=-1) for values in zip(*found, strict=True))
    return to_image(looks, x, y)


def to_image(looks: Looks, x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k 2"]:
    """From the head's frame to units of the image."""
    cos, sin = np.cos(looks.tilt)[:, None], np.sin(looks.tilt)[:, None]
    scale = looks.scale[:, None]
    across, down = looks.x[:, None] + scale * (cos * x - sin * y), looks.y[:, None] + scale * (sin * x + cos * y)
    return np.stack([across, down], axis=-1)


def _at(part: Part, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    return part.x + x, part.y + y


def _jaw(people: People, looks: Looks) -> list[tuple[Numbers, Numbers]]:
    """Where 17 rays from between the ears meet the outline, from the left over the chin to the right."""
    found = []
    for angle in np.linspace(np.pi, 0, 17):
        across, down = np.cos(angle), np.sin(angle)
        near, far = np.zeros_like(looks.turn), np.full_like(looks.turn, 2.0)
        for _ in range(BISECTIONS):
            middle = (near + far) / 2
            inside = head(people, looks, middle * across, middle * down) < 0
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        found.append((near * across, near * down))
    return found
