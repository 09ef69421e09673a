"""What a model has to know of its data: enough to build it where the data are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdl_jax.data.source import ArraySpec, Source
from gdl_jax.errors import UsageError


@dataclass(frozen=True)
class DataSpec:
    """The arrays of one example, the names of the labels, how many examples there are to train on, and which."""

    arrays: dict[str, ArraySpec]
    classes: tuple[str, ...]
    num_examples: int
    digest: str = ""
    """Of an image folder, which may change between two starts; "" of what has its content by its name."""

    @classmethod
    def of(cls, source: Source) -> DataSpec:
        """The specification of a source."""
        return cls(dict(source.spec), tuple(source.classes), len(source), getattr(original(source), "digest", ""))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels.

        Raises:
            UsageError: the data have no images.
        """
        if "image" not in self.arrays:
            raise UsageError(f"This takes images, and the data have only {', '.join(self.arrays)}; name other data.")
        return self.arrays["image"].shape

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        arrays = {name: [list(spec.shape), str(spec.dtype)] for name, spec in self.arrays.items()}
        return {
            "arrays": arrays,
            "classes": list(self.classes),
            "num_examples": self.num_examples,
            "digest": self.digest,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> DataSpec:
        """The inverse of `to_json`."""
        arrays = {name: ArraySpec(tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in saved["arrays"].items()}
        return cls(arrays, tuple(saved["classes"]), saved["num_examples"], saved.get("digest", ""))

    def changes(self, before: DataSpec) -> list[str]:
        """What is other than it was, in words; a digest that is not known is no difference."""
        found = []
        if before.arrays != self.arrays:
            shapes = [{key: array.shape for key, array in data.arrays.items()} for data in (before, self)]
            found.append("arrays of shape {} and now {}".format(*shapes))
        if before.classes != self.classes:
            found.append(f"classes {listed(before.classes)} and now {listed(self.classes)}")
        if before.num_examples != self.num_examples:
            found.append(f"{before.num_examples:,} training examples and now {self.num_examples:,}")
        if not found and before.digest and self.digest and before.digest != self.digest:
            found.append("files of the same number with other names, labels or lengths")
        return found


def original(source: Source) -> Source:
    """What a subset or a stack was made of; itself of any other."""
    while hasattr(source, "source"):
        source = source.source
    return source


def listed(classes: Sequence[str]) -> str:
    """Their names, for a line; of many the first."""
    shown = [*classes[:8], *(["..."] if len(classes) > 8 else [])]
    return f"{len(classes)} ({', '.join(shown)})" if classes else "none"


def describe(train: Source, test: Source) -> str:
    """A line for whoever looks whether these are the images that were meant."""
    sides = getattr(original(train), "sides", None)
    stored = f" (stored with sides of {sides[0]} to {sides[1]})" if sides else ""
    named = {name: "x".join(map(str, array.shape)) or "number" for name, array in train.spec.items()}
    shape = named.get("image") or ", ".join(f"{name} {shape}" for name, shape in named.items())
    return (
        f"{train.name}, {len(train):,} training and {len(test):,} test examples, {shape}{stored}, classes: "
        f"{listed(train.classes)}"
    )
