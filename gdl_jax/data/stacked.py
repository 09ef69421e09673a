"""Three examples of a grey set as the red, green and blue of one image: many modes that can be counted.

Metz et al. 2017 (arXiv:1611.02163), section 3.3.1: "Stacked MNIST", whose three digits make 1,000 classes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from gdl_jax.data.source import ArraySpec, Source
from gdl_jax.errors import UsageError

LEAST = 25_600
"""Images of a split, where there are fewer examples: as many as the paper draws samples."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """A source of triples, drawn at random.

    Attributes:
        source: of grey images with labels.
        seed: of the triples.
    """

    source: Source
    seed: int = 0

    def __post_init__(self):
        if self.source.spec["image"].shape[-1] != 1 or "label" not in self.source.spec:
            raise UsageError(
                f"--data.stacked makes grey images with labels into colours, and {self.source.name!r} has none; leave "
                "it out, or set --data.channels 1."
            )

    @property
    def name(self) -> str:
        """After that of the source."""
        return f"stacked_{self.source.name}"

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        height, width, _ = self.source.spec["image"].shape
        return {"image": ArraySpec((height, width, 3), np.dtype(np.uint8)), "label": ArraySpec((), np.dtype(np.int32))}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the three, red first: "0 0 7"; their numbers are digits of the label's."""
        return tuple(" ".join(names) for names in itertools.product(self.source.classes, repeat=3))

    @cached_property
    def triples(self) -> Int[np.ndarray, "num 3"]:
        """The examples that are red, green and blue."""
        num = max(len(self.source), LEAST)
        return np.random.default_rng(self.seed).integers(0, len(self.source), (num, 3))

    @property
    def labels(self) -> Int[np.ndarray, " num"]:
        """Of all examples."""
        return self._joined(self.source.labels[self.triples])

    def __len__(self) -> int:
        return len(self.triples)

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """The examples at `indices`, in this order."""
        found = self.source.take(self.triples[indices].reshape(-1))
        images = found["image"][..., 0].reshape(len(indices), 3, *found["image"].shape[1:3])
        labels = found["label"].reshape(-1, 3)
        return {"image": np.moveaxis(images, 1, -1), "label": self._joined(labels)}

    def _joined(self, labels: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        num = len(self.source.classes)
        return (labels @ np.array([num**2, num, 1])).astype(np.int32)
