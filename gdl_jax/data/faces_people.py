"""Who is in a drawn face and how: traits of a person, which all of one's pictures share, and those of one picture.

All lengths are in units of half the height of the head, in the head's own frame: the origin between eyes and nose, x to
the right of the picture, y down, z towards the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gdl_jax.data.shapes import uniforms

HAIR_COLOURS = {
    "black": (30, 26, 28),
    "brown": (104, 66, 40),
    "blond": (226, 188, 112),
    "red": (176, 76, 34),
    "grey": (176, 176, 180),
}

HAIR_STYLES = ("short", "side_part", "fringe", "receding", "bob", "long", "curly", "bun")

LONG_STYLES = ("bob", "long")

EYE_COLOURS = {"brown": (96, 58, 32), "hazel": (136, 100, 46), "green": (72, 128, 82), "blue": (70, 128, 190)}

HATS = ("none", "beanie", "cap", "brimmed")

BEARDS = ("none", "full", "goatee")

SKIN_TONES = (
    (252, 222, 198),
    (243, 202, 168),
    (228, 178, 138),
    (204, 148, 106),
    (164, 112, 76),
    (120, 80, 54),
    (92, 60, 42),
)
"""From light to dark; a skin lies anywhere on the line through them."""

ATTRIBUTES = (
    "smiling",
    "mouth_open",
    "eyeglasses",
    "hat",
    "beard",
    "moustache",
    "lipstick",
    "bangs",
    "long_hair",
    "black_hair",
    "brown_hair",
    "blond_hair",
    "red_hair",
    "grey_hair",
)
"""The columns of "attributes", each 0 or 1."""

PERSON_STREAM, LOOK_STREAM = 11, 12

# While faces are painted, the traits have axes of length 1 in the places of rows and columns.
Numbers = Float[np.ndarray, "n *ones"]
Choices = Int[np.ndarray, "n *ones"]
Flags = Bool[np.ndarray, "n *ones"]
Colours = Float[np.ndarray, "n 3 *ones"]


@dataclass(frozen=True, eq=False)
class People:
    """What stays the same in all pictures of a person."""

    skin: Colours
    lips: Colours
    blush: Numbers
    head_width: Numbers
    jaw_width: Numbers
    chin: Numbers
    eye_distance: Numbers
    eye_width: Numbers
    eye_height: Numbers
    eye_slant: Numbers
    iris: Colours
    brow_thickness: Numbers
    brow_arch: Numbers
    brow_slant: Numbers
    nose_width: Numbers
    nose_length: Numbers
    mouth_width: Numbers
    lip_thickness: Numbers
    ear_size: Numbers
    hair_colour: Choices
    hair: Colours
    hair_style: Choices
    hair_part: Numbers
    hairline: Numbers
    beard: Choices
    moustache: Flags
    lipstick: Flags


@dataclass(frozen=True, eq=False)
class Looks:
    """What belongs to one picture.

    `turn`, `nod` and `tilt` are angles in radians: to the right of the picture, down, and clockwise. `open` is the
    height of the open mouth from 0 to 1, `smile` goes from -0.3 to 1, `lids` from 0 (shut) to 1.
    """

    x: Numbers
    y: Numbers
    scale: Numbers
    turn: Numbers
    nod: Numbers
    tilt: Numbers
    smile: Numbers
    open: Numbers
    lids: Numbers
    gaze_x: Numbers
    gaze_y: Numbers
    eyeglasses: Flags
    round_glasses: Numbers
    frame: Colours
    hat: Choices
    hat_colour: Colours
    clothes: Colours
    collar: Choices
    light_x: Numbers
    light: Numbers
    warmth: Numbers
    background: Colours
    background_end: Colours
    background_kind: Choices
    background_turn: Numbers


class _Draws:
    """Hands out the columns of a table of uniform numbers."""

    def __init__(self, seed: int, indices: Int[np.ndarray, " n"], stream: int):
        # 64 columns are more than any of the two needs, and a change of one trait leaves those before it as they were.
        self._columns = iter(uniforms(seed, indices, 64, stream=stream).T)

    def between(self, low: float, high: float) -> Numbers:
        return low + (high - low) * next(self._columns)

    def bell(self, spread: float) -> Numbers:
        """About normal with standard deviation `spread`, never beyond 3 of them: the sum of three."""
        return spread * 2 * (next(self._columns) + next(self._columns) + next(self._columns) - 1.5)

    def choice(self, options: int) -> Choices:
        return (next(self._columns) * options).astype(np.int64)

    def chance(self, probability: float) -> Flags:
        return next(self._columns) < probability

    def weighted(self, weights: tuple[float, ...]) -> Choices:
        """Index i with probability weights[i]; they sum to 1."""
        return np.searchsorted(np.cumsum(weights)[:-1], next(self._columns), side="right")

    def colour(self, saturation: tuple[float, float], value: tuple[float, float]) -> Colours:
        """Any hue, HSV -> RGB, 0 to 255."""
        hue, s, v = next(self._columns), self.between(*saturation), self.between(*value)
        wheel = np.abs((hue[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
        return 255 * v[:, None] * (1 - s[:, None] * (1 - np.clip(wheel, 0, 1)))


def draw_people(seed: int, persons: Int[np.ndarray, " n"]) -> People:
    """The persons with these numbers; each depends on (seed, number) alone."""
    draw = _Draws(seed, persons, PERSON_STREAM)
    skin = _along(SKIN_TONES, draw.between(0.0, 1.0))
    hair_colour = draw.choice(len(HAIR_COLOURS))
    jitter = 1 + draw.bell(0.05)[:, None]
    lipstick = draw.chance(0.25)
    rouge = np.array([[196.0, 36, 60], [176, 30, 90], [214, 70, 60]])[draw.choice(3)]
    bare = skin * np.array([0.86, 0.62, 0.6]) + np.array([12.0, 4, 8])
    return People(
        skin=skin,
        lips=np.where(lipstick[:, None], rouge, bare),
        blush=draw.between(0.0, 0.45),
        head_width=draw.between(0.70, 0.82),
        jaw_width=draw.between(0.50, 0.66),
        chin=draw.between(0.94, 1.06),
        eye_distance=draw.between(0.31, 0.37),
        eye_width=draw.between(0.155, 0.19),
        eye_height=draw.between(0.085, 0.125),
        eye_slant=draw.bell(0.012),
        iris=np.array(list(EYE_COLOURS.values()), float)[draw.choice(len(EYE_COLOURS))],
        brow_thickness=draw.between(0.025, 0.055),
        brow_arch=draw.between(0.02, 0.09),
        brow_slant=draw.bell(0.012),
        nose_width=draw.between(0.11, 0.18),
        nose_length=draw.between(0.25, 0.34),
        mouth_width=draw.between(0.25, 0.33),
        lip_thickness=draw.between(0.03, 0.065),
        ear_size=draw.between(0.9, 1.2),
        hair_colour=hair_colour,
        hair=np.clip(np.array(list(HAIR_COLOURS.values()), float)[hair_colour] * jitter, 0, 255),
        hair_style=draw.choice(len(HAIR_STYLES)),
        hair_part=np.where(draw.chance(0.5), 1.0, -1.0),
        hairline=draw.between(-0.66, -0.54),
        beard=draw.weighted((0.75, 0.15, 0.10)),
        moustache=draw.chance(0.2),
        lipstick=lipstick,
    )


def draw_looks(seed: int, indices: Int[np.ndarray, " n"]) -> Looks:
    """The looks of the pictures with these numbers; each depends on (seed, number) alone."""
    draw = _Draws(seed, indices, LOOK_STREAM)
    smiling, opened = draw.chance(0.5), draw.chance(0.4)
    return Looks(
        x=0.5 + draw.bell(0.015),
        y=0.53 + draw.bell(0.012),
        scale=draw.between(0.32, 0.37),
        turn=draw.bell(0.2),
        nod=draw.bell(0.08),
        tilt=draw.bell(0.08),
        smile=np.where(smiling, draw.between(0.6, 1.0), draw.between(-0.3, 0.1)),
        open=np.where(opened, draw.between(0.45, 1.0), 0.0),
        lids=draw.between(0.85, 1.0),
        gaze_x=draw.bell(0.35),
        gaze_y=draw.bell(0.15),
        eyeglasses=draw.chance(0.25),
        round_glasses=draw.between(0.0, 1.0),
        frame=np.array([[30.0, 28, 32], [110, 60, 36], [160, 40, 48], [40, 70, 130]])[draw.choice(4)],
        hat=draw.weighted((0.8, 0.07, 0.07, 0.06)),
        hat_colour=draw.colour((0.35, 0.8), (0.35, 0.85)),
        clothes=draw.colour((0.1, 0.7), (0.3, 0.95)),
        collar=draw.choice(3),
        light_x=draw.between(-1.0, 1.0),
        light=draw.between(0.88, 1.08),
        warmth=draw.bell(0.025),
        background=draw.colour((0.1, 0.5), (0.5, 0.98)),
        background_end=draw.colour((0.1, 0.5), (0.35, 0.9)),
        background_kind=draw.choice(4),
        background_turn=draw.between(0.0, 2 * np.pi),
    )


def attributes(people: People, looks: Looks) -> Int[np.ndarray, "n attributes"]:
    """What `ATTRIBUTES` names, int32; of what a hat hides, only what is still seen counts."""
    hatless = looks.hat == 0
    columns = {
        "smiling": looks.smile > 0.35,
        "mouth_open": looks.open > 0.2,
        "eyeglasses": looks.eyeglasses,
        "hat": ~hatless,
        "beard": people.beard > 0,
        "moustache": people.moustache,
        "lipstick": people.lipstick,
        "bangs": (people.hair_style == HAIR_STYLES.index("fringe")) & hatless,
        "long_hair": np.isin(people.hair_style, [HAIR_STYLES.index(style) for style in LONG_STYLES]),
        **{f"{name}_hair": people.hair_colour == index for index, name in enumerate(HAIR_COLOURS)},
    }
    return np.stack([columns[name] for name in ATTRIBUTES], axis=1).astype(np.int32)


def _along(colours: tuple[tuple[int, int, int], ...], place: Numbers) -> Colours:
    """The colour at `place` in [0, 1] of the polygonal line through `colours`."""
    corners = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(place, corners, channel) for channel in zip(*colours, strict=True)], axis=1)
