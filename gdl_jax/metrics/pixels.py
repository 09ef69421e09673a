"""Pixels as features: no network, no download, the same everywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8

FEATURES = "pixels"
"""The name of these features in reports."""


def pixel_features(
    images: UInt8[np.ndarray, "num height width channels"], size: int = 8
) -> Float[np.ndarray, "num features"]:
    """Averages over a grid of size x size cells, scaled to [0, 1], flattened to size * size * channels.

    Cell i of n pixels spans [i n / size, (i + 1) n / size), rounded to whole pixels, and is one pixel at the least.
    """

    def pool(array: np.ndarray, axis: int) -> np.ndarray:
        n = array.shape[axis]
        edges = [round(i * n / size) for i in range(size + 1)]
        cells = [range(a, b) if b > a else [min(a, n - 1)] for a, b in pairwise(edges)]
        return np.stack([array.take(cell, axis).mean(axis) for cell in cells], axis)

    pooled = pool(pool(images.astype(np.float64) / 255, 1), 2)
    return pooled.reshape(len(images), -1)
