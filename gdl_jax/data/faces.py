"""Drawn faces, a pure function of (seed, index), with identity, attributes, landmarks and masks that are exact.

    draw_people(seed, person), draw_looks(seed, index) -> render -> images, masks;  landmarks -> 68 points

A person has several pictures, which share skin, head, hair, eyes, nose, beard; pose, expression, glasses, hat, clothes,
light and background are each picture's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from gdl_jax.data.faces_canvas import PARTS
from gdl_jax.data.faces_drawing import render
from gdl_jax.data.faces_geometry import landmarks
from gdl_jax.data.faces_people import ATTRIBUTES, HAIR_COLOURS, Looks, People, attributes, draw_looks, draw_people
from gdl_jax.data.images import with_channels
from gdl_jax.data.shapes import FIRST_TEST_INDEX, uniforms
from gdl_jax.data.source import ArraySpec, DataSettings, Split, reject_crop

PICTURES_PER_PERSON = 8
"""Of each person in a row: indices 0 to 7 are of person 0."""

TALK_STREAM = 13


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The faces with indices `first` to `first + num_examples - 1`, drawn when they are taken.

    "label" is the colour of the hair; "identity" () int32 the number of the person; "attributes" are those of
    `ATTRIBUTES`, 0 or 1; "landmarks" (68, 2) float32, see `landmarks`; "mask" index into `PARTS`.

    Attributes:
        num_examples: how many.
        first: index of the first one.
        seed: another seed gives other people.
        size: height and width in pixels.
        channels: 1 or 3.
    """

    num_examples: int
    first: int = 0
    seed: int = 0
    size: int = 64
    channels: Literal[1, 3] = 3

    name = "faces"
    classes = tuple(HAIR_COLOURS)
    attribute_names = ATTRIBUTES
    parts = PARTS

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        return {
            "image": ArraySpec((self.size, self.size, self.channels), np.dtype(np.uint8)),
            "label": ArraySpec((), np.dtype(np.int32)),
            "identity": ArraySpec((), np.dtype(np.int32)),
            "attributes": ArraySpec((len(ATTRIBUTES),), np.dtype(np.int32)),
            "landmarks": ArraySpec((68, 2), np.dtype(np.float32)),
            "mask": ArraySpec((self.size, self.size, 1), np.dtype(np.uint8)),
        }

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of all pictures; none is drawn."""
        return self.traits(np.arange(self.num_examples))[0].hair_colour.astype(np.int32)

    def __len__(self) -> int:
        return self.num_examples

    def traits(self, indices: Int[np.ndarray, " n"]) -> tuple[People, Looks]:
        """Who is to be seen in the pictures at `indices`, and how."""
        numbers = self.first + indices.astype(np.int64)
        return draw_people(self.seed, numbers // PICTURES_PER_PERSON), draw_looks(self.seed, numbers)

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Draws the pictures at `indices`."""
        people, looks = self.traits(indices)
        drawn = render(people, looks, self.size)
        return {
            "image": with_channels(drawn["image"], self.channels),
            "label": people.hair_colour.astype(np.int32),
            "identity": ((self.first + indices.astype(np.int64)) // PICTURES_PER_PERSON).astype(np.int32),
            "attributes": attributes(people, looks),
            "landmarks": landmarks(people, looks).astype(np.float32),
            "mask": drawn["mask"],
        }


@dataclass(frozen=True, eq=False)
class Talk:
    """A film of one person who talks.

    Attributes:
        image: the pictures.
        mask: index into `PARTS`.
        landmarks: see `landmarks`.
        open: how far the mouth is open, from 0 to 1.
    """

    image: UInt8[np.ndarray, "frames size size 3"]
    mask: UInt8[np.ndarray, "frames size size 1"]
    landmarks: Float[np.ndarray, "frames 68 2"]
    open: Float[np.ndarray, " frames"]


def frames(seed: int, identity: int, num: int, *, size: int = 64) -> Talk:
    """A person talks in syllables of six frames, looks about slowly, and blinks; light, clothes and place stay.

    Args:
        seed: that of the source.
        identity: number of the person; the film starts from the person's first picture, without glasses and hat.
        num: of frames; a longer film begins with the shorter one.
        size: height and width in pixels.
    """
    time = np.arange(num)
    people = draw_people(seed, np.full(num, identity))
    still = draw_looks(seed, np.full(num, identity * PICTURES_PER_PERSON))
    syllable, phase = np.divmod(time, 6)
    # Of every syllable its loudness; one in five or so is a pause.
    loud = np.clip(1.25 * uniforms(seed, syllable + identity * 10_000, 1, stream=TALK_STREAM)[:, 0] - 0.25, 0, 1)
    opened = loud * np.sin(np.pi * phase / 6)
    slow = 2 * np.pi * time / 90
    looks = replace(
        still,
        open=opened,
        turn=still.turn + 0.22 * np.sin(slow),
        nod=still.nod + 0.06 * np.sin(2.3 * slow),
        tilt=still.tilt + 0.05 * np.sin(1.4 * slow),
        lids=np.where(time % 45 >= 42, 0.12, still.lids),
        eyeglasses=np.zeros(num, bool),
        hat=np.zeros(num, np.int64),
    )
    drawn = render(people, looks, size)
    return Talk(drawn["image"], drawn["mask"], landmarks(people, looks), opened)


def load(settings: DataSettings, split: Split) -> Faces:
    """64x64 RGB unless set, 10,000 to train and 2,000 to test unless set; the two share no person."""
    reject_crop(settings)
    return Faces(
        num_examples=settings.num_examples or {"train": 10_000, "test": 2_000}[split],
        first={"train": 0, "test": FIRST_TEST_INDEX}[split],
        seed=settings.seed,
        size=settings.size or 64,
        channels=settings.channels or 3,
    )
