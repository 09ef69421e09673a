"""Pictures of coloured objects on a plain background, a pure function of (seed, index), with exact ground truth.

    uniforms(seed, indices) -> draw_scenes -> Scenes -> render -> images, masks, edges

Scenes are in units of the image (x to the right, y down, both in [0, 1]), so one scene can be drawn in every size.
Objects are signed distance functions, so edges are antialiased and "inside" is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from gdl_jax.data.images import with_channels
from gdl_jax.data.source import ArraySpec, DataSettings, Split, reject_crop
from gdl_jax.errors import UsageError

FORMS = ("circle", "square", "triangle", "star", "cross", "ring")

HUES = {
    "red": (220, 40, 40),
    "orange": (245, 145, 20),
    "yellow": (250, 225, 40),
    "green": (40, 165, 60),
    "cyan": (40, 200, 215),
    "blue": (40, 80, 220),
    "purple": (140, 50, 190),
    "pink": (250, 130, 190),
}

BACKGROUNDS = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)}

RADII = {"small": 0.13, "medium": 0.18, "large": 0.23}

COLUMNS = ("left", "centre", "right")

ROWS = ("top", "middle", "bottom")

ATTRIBUTES = {
    "form": FORMS,
    "hue": tuple(HUES),
    "size": tuple(RADII),
    "column": COLUMNS,
    "row": ROWS,
    "background": tuple(BACKGROUNDS),
}
"""The columns of "attributes", in order, with the names of their values; all but the last are the first object's."""

CELLS = np.array([0.27, 0.5, 0.73])
"""Centres of the columns and rows: no object reaches the edge of the image."""

MAX_OBJECTS = len(COLUMNS) * len(ROWS)

JITTER = 0.02
"""An object's centre is at most so far from that of its cell, in each direction."""

MAX_TURN = np.pi / 9
"""An object is turned by at most this angle, so that a square never looks like a diamond."""

FIRST_TEST_INDEX = 2**30

Numbers = Float[np.ndarray, "*batch"]


# Randomness.


def uniforms(seed: int, indices: Int[np.ndarray, " n"], count: int, *, stream: int = 0) -> Float[np.ndarray, "n count"]:
    """Uniform numbers in [0, 1) that depend on (seed, stream, index) alone: a counter hashed by SplitMix64.

    NumPy's generators have no form for a batch of counters; making one per example takes longer than drawing it.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    key = _hash(_hash(np.array([seed % 2**64], np.uint64) + step) + np.array([stream], np.uint64))
    examples = _hash(indices.astype(np.uint64) ^ key)
    numbers = _hash(examples[:, None] + step * np.arange(1, count + 1, dtype=np.uint64))
    return (numbers >> np.uint64(11)) * 2.0**-53


def _hash(values: Shaped[np.ndarray, "*any"]) -> Shaped[np.ndarray, "*any"]:
    """The finaliser of SplitMix64 on uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


# Scenes.


@dataclass(frozen=True, eq=False)
class Scenes:
    """What is to be seen in n pictures; object 0 is the largest and in front of the others.

    Attributes:
        form: index into `FORMS`.
        hue: index into `HUES`.
        size: index into `RADII`.
        cell: column and row index of the cell in which the object is.
        x: horizontal centre in units of the image, 0 = left edge.
        y: vertical centre, 0 = top edge.
        angle: clockwise turn in radians.
        count: how many of the objects are there.
        background: index into `BACKGROUNDS`.
    """

    form: Int[np.ndarray, "n objects"]
    hue: Int[np.ndarray, "n objects"]
    size: Int[np.ndarray, "n objects"]
    cell: Int[np.ndarray, "n objects 2"]
    x: Float[np.ndarray, "n objects"]
    y: Float[np.ndarray, "n objects"]
    angle: Float[np.ndarray, "n objects"]
    count: Int[np.ndarray, " n"]
    background: Int[np.ndarray, " n"]


def draw_scenes(
    seed: int, indices: Int[np.ndarray, " n"], *, max_objects: int = 1, hue_follows_form: bool = False
) -> Scenes:
    """The scenes with these indices: 1 to `max_objects` objects in different cells of a 3x3 grid.

    Args:
        seed: another seed gives other scenes.
        indices: any integers from 0 on; each scene depends on its own index alone.
        max_objects: at most 9.
        hue_follows_form: the hue is a function of the form (a circle is always red ...) instead of independent of it.
    """
    per_object = uniforms(seed, indices, 6 * max_objects + MAX_OBJECTS + 2)
    form, hue, size, x, y, turn = np.split(per_object[:, : 6 * max_objects], 6, axis=1)
    cell_order, count, background = np.split(per_object[:, 6 * max_objects :], [MAX_OBJECTS, MAX_OBJECTS + 1], axis=1)
    forms = _choice(form, len(FORMS))
    row, column = np.divmod(np.argsort(cell_order, axis=1)[:, :max_objects], len(COLUMNS))
    return Scenes(
        form=forms,
        hue=forms % len(HUES) if hue_follows_form else _choice(hue, len(HUES)),
        size=-np.sort(-_choice(size, len(RADII)), axis=1),
        cell=np.stack([column, row], axis=-1),
        x=CELLS[column] + JITTER * (2 * x - 1),
        y=CELLS[row] + JITTER * (2 * y - 1),
        angle=MAX_TURN * (2 * turn - 1),
        count=1 + _choice(count[:, 0], max_objects),
        background=_choice(background[:, 0], len(BACKGROUNDS)),
    )


def _choice(uniform: Float[np.ndarray, "*any"], options: int) -> Int[np.ndarray, "*any"]:
    """An index below `options` for each number in [0, 1)."""
    return (uniform * options).astype(np.int64)


def attributes(scenes: Scenes) -> Int[np.ndarray, "n attributes"]:
    """The value indices that `ATTRIBUTES` names, int32."""
    first = (scenes.form, scenes.hue, scenes.size, scenes.cell[..., 0], scenes.cell[..., 1])
    return np.stack([*(values[:, 0] for values in first), scenes.background], axis=1).astype(np.int32)


def caption(attributes: Int[np.ndarray, " attributes"]) -> str:
    """One example's attributes in words: "a small red circle at the top left on a grey background"."""
    form, hue, size, column, row, background = (
        names[value] for names, value in zip(ATTRIBUTES.values(), attributes, strict=True)
    )
    where = " ".join(word for word in (row, column) if word not in ("middle", "centre"))
    place = f"at the {where}" if where else "in the centre"
    return f"a {size} {hue} {form} {place} on a {background} background"


# Forms: signed distances (negative inside) to objects that fill the unit circle.


def _box(x: Numbers, y: Numbers, half_width: float, half_height: float) -> Numbers:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _circle(x: Numbers, y: Numbers) -> Numbers:
    return np.hypot(x, y) - 0.9


def _square(x: Numbers, y: Numbers) -> Numbers:
    return _box(x, y, 0.7, 0.7)


def _triangle(x: Numbers, y: Numbers) -> Numbers:
    return np.maximum(y, np.sqrt(0.75) * np.abs(x) - 0.5 * y) - 0.5


def _star(x: Numbers, y: Numbers) -> Numbers:
    """Five points: every edge is the mirror or the turned image of one, from an outer to an inner corner."""
    tenth = np.pi / 5
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    folded = np.abs((angle + tenth) % (2 * tenth) - tenth)
    edge = np.array([0.45 * np.cos(tenth) - 1, 0.45 * np.sin(tenth)])
    normal = np.array([edge[1], -edge[0]], np.float32) / np.float32(np.hypot(*edge))
    return normal[0] * (radius * np.cos(folded) - 1) + normal[1] * radius * np.sin(folded)


def _cross(x: Numbers, y: Numbers) -> Numbers:
    return np.minimum(_box(x, y, 0.92, 0.3), _box(x, y, 0.3, 0.92))


def _ring(x: Numbers, y: Numbers) -> Numbers:
    return np.abs(np.hypot(x, y) - 0.7) - 0.25


DISTANCES: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}


def distance(scenes: Scenes, slot: int, size: int) -> Float[np.ndarray, "n size size"]:
    """Signed distance in pixels from each pixel's centre to object `slot`; infinite where the scene has none."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    radius = np.array(list(RADII.values()), np.float32)[scenes.size[:, slot], None, None]
    cos, sin = (
        function(scenes.angle[:, slot]).astype(np.float32)[:, None, None] / radius for function in (np.cos, np.sin)
    )
    x = centres[None, None, :] - scenes.x[:, slot, None, None].astype(np.float32)
    y = centres[None, :, None] - scenes.y[:, slot, None, None].astype(np.float32)
    x, y = cos * x + sin * y, cos * y - sin * x
    result = np.full(x.shape, np.inf, np.float32)
    for form, function in enumerate(DISTANCES[name] for name in FORMS):
        of_form = (scenes.form[:, slot] == form) & (slot < scenes.count)
        result[of_form] = function(x[of_form], y[of_form]) * radius[of_form] * size
    return result


# Pictures.


def render(scenes: Scenes, size: int, *, style: Literal[0, 1] = 0) -> dict[str, UInt8[np.ndarray, "n size size _"]]:
    """Draws the scenes.

    Args:
        scenes: what to draw.
        size: height and width in pixels.
        style: 0 = filled objects, 1 = outlined ones; masks and edges are the same for both.

    Returns:
        "image" RGB; "mask" form index + 1; "instance" object number + 1 (both 0 on the background, 1 channel);
        "edges" black contours on white, 1 channel.
    """
    n, line = len(scenes.form), size / 32
    image = np.broadcast_to(_colours(BACKGROUNDS)[scenes.background][:, None, None], (n, size, size, 3))
    mask, instance = np.zeros((2, n, size, size, 1), np.uint8)
    edges = np.full((n, size, size, 1), 255, np.float32)
    for slot in reversed(range(scenes.form.shape[1])):
        depth = distance(scenes, slot, size)[..., None]
        drawn = depth if style == 0 else np.abs(depth + 0.75 * line) - 0.75 * line
        image = _over(image, _colours(HUES)[scenes.hue[:, slot]][:, None, None], _coverage(drawn))
        edges = _over(_over(edges, 255.0, _coverage(depth)), 0.0, _coverage(np.abs(depth) - line / 2))
        inside = depth < 0
        mask = np.where(inside, (scenes.form[:, slot] + 1).astype(np.uint8)[:, None, None, None], mask)
        instance = np.where(inside, np.uint8(slot + 1), instance)
    return {"image": _bytes(image), "mask": mask, "instance": instance, "edges": _bytes(edges)}


def _colours(named: dict[str, tuple[int, int, int]]) -> Float[np.ndarray, "colours 3"]:
    return np.array(list(named.values()), np.float32)


def _coverage(distance: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """The share of a pixel that is inside, for an edge that runs straight through it."""
    return np.clip(0.5 - distance, 0, 1)


def _over(below: np.ndarray, colour: np.ndarray | float, coverage: np.ndarray) -> np.ndarray:
    return below + (colour - below) * coverage


def _bytes(values: Float[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any"]:
    return np.rint(values).astype(np.uint8)


# The source.


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The pictures with indices `first` to `first + num_examples - 1`, drawn when they are taken.

    "label" is the form of the first, largest object; for "attributes" see `ATTRIBUTES`.

    Attributes:
        num_examples: how many.
        first: index of the first one.
        seed: another seed gives other pictures.
        size: height and width in pixels.
        channels: 1 or 3.
        max_objects: each picture has from 1 to so many objects.
        hue_follows_form: see `draw_scenes`.
        style: see `render`.
        edges: adds "edges", the contours as a picture, to each example.
    """

    num_examples: int
    first: int = 0
    seed: int = 0
    size: int = 32
    channels: Literal[1, 3] = 3
    max_objects: int = 1
    hue_follows_form: bool = False
    style: Literal[0, 1] = 0
    edges: bool = False

    name = "shapes"
    classes = FORMS
    attribute_names = tuple(ATTRIBUTES)

    def __post_init__(self):
        if not 1 <= self.max_objects <= MAX_OBJECTS:
            raise UsageError(f"'shapes' has 1 to {MAX_OBJECTS} objects in a picture, not {self.max_objects}.")

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        one = self.take(np.zeros(1, np.int64))
        return {key: ArraySpec(array.shape[1:], array.dtype) for key, array in one.items()}

    @property
    def captions(self) -> tuple[str, ...]:
        """One sentence for each picture, about its first object."""
        scenes = self.scenes(np.arange(self.num_examples))
        return tuple(caption(row) for row in attributes(scenes))

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of all pictures; none is drawn."""
        return self.scenes(np.arange(self.num_examples)).form[:, 0].astype(np.int32)

    def __len__(self) -> int:
        return self.num_examples

    def scenes(self, indices: Int[np.ndarray, " n"]) -> Scenes:
        """What is to be seen in the pictures at `indices`."""
        return draw_scenes(
            self.seed,
            self.first + indices.astype(np.int64),
            max_objects=self.max_objects,
            hue_follows_form=self.hue_follows_form,
        )

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Draws the pictures at `indices`."""
        scenes = self.scenes(indices)
        drawn = render(scenes, self.size, style=self.style)
        wanted = ("mask", "instance", "edges") if self.edges else ("mask", "instance")
        return {
            "image": with_channels(drawn["image"], self.channels),
            "label": scenes.form[:, 0].astype(np.int32),
            "attributes": attributes(scenes),
            **{key: drawn[key] for key in wanted},
        }


def load(settings: DataSettings, split: Split) -> Shapes:
    """One object per picture, 32x32 RGB unless set, 10,000 to train and 2,000 to test unless set."""
    reject_crop(settings)
    return Shapes(
        num_examples=settings.num_examples or {"train": 10_000, "test": 2_000}[split],
        first={"train": 0, "test": FIRST_TEST_INDEX}[split],
        seed=settings.seed,
        size=settings.size or 32,
        channels=settings.channels or 3,
    )
