"""Pixels as features: no network, no download, the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
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
        return np.stack([array.take(cell, axis).mean(axis) for cell in _cells(array.shape[axis], size)], axis)

    pooled = pool(pool(images.astype(np.float64) / 255, 1), 2)
    return pooled.reshape(len(images), -1)


def pixel_means(images: Float[Array, "num height width channels"], size: int = 8) -> Float[Array, "num features"]:
    """The same of images in [0, 1], float32, to be traced."""
    down, across = (jnp.asarray(_weights(n, size)) for n in images.shape[1:3])
    pooled = jnp.einsum("ih,nhwc,jw->nijc", down, images, across, precision=lax.Precision.HIGHEST)
    return pooled.reshape(len(images), -1)


def _weights(n: int, size: int) -> Float[np.ndarray, "size n"]:
    weights = np.zeros((size, n), np.float32)
    for row, cell in zip(weights, _cells(n, size), strict=True):
        row[list(cell)] = 1 / len(cell)
    return weights


def _cells(n: int, size: int) -> list[Sequence[int]]:
    edges = [round(i * n / size) for i in range(size + 1)]
    return [range(a, b) if b > a else [min(a, n - 1)] for a, b in pairwise(edges)]
