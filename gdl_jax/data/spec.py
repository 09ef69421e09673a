"""What a model has to know of its data: enough to build it where the data are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdl_jax.data.source import ArraySpec, Source


@dataclass(frozen=True)
class DataSpec:
    """The arrays of one example, the names of the labels, and how many examples there are to train on."""

    arrays: dict[str, ArraySpec]
    classes: tuple[str, ...]
    num_examples: int

    @classmethod
    def of(cls, source: Source) -> DataSpec:
        """The specification of a source."""
        return cls(dict(source.spec), tuple(source.classes), len(source))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.arrays["image"].shape

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        arrays = {name: [list(spec.shape), str(spec.dtype)] for name, spec in self.arrays.items()}
        return {"arrays": arrays, "classes": list(self.classes), "num_examples": self.num_examples}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> DataSpec:
        """The inverse of `to_json`."""
        arrays = {name: ArraySpec(tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in saved["arrays"].items()}
        return cls(arrays, tuple(saved["classes"]), saved["num_examples"])
