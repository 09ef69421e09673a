"""The birthday paradox as a measure of how many different samples there are: Arora et al. 2018."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gdl_jax.metrics.neighbours import nearest

Set = Float[np.ndarray, "_num units"]

WARNING = "The threshold decides the result, and a generator that repeats a few samples often seems smaller than it is."


class Support(NamedTuple):
    """What repeated batches tell.

    Attributes:
        sizes: examples in a batch.
        collisions: share of the batches of each size with a pair closer than the threshold.
        half: the size at which half of the batches would have one, interpolated; nan where none reaches half.
        estimate: how many equally likely samples would collide so often, half^2 / (2 ln 2); nan likewise.
        threshold: distance below which a pair counts as one sample twice.
    """

    sizes: tuple[int, ...]
    collisions: tuple[float, ...]
    half: float
    estimate: float
    threshold: float


def threshold_of(real: Set, quantile: float = 0.001) -> float:
    """A quantile of the distances between different examples of the data, of 2,000 at the most."""
    real = real[np.linspace(0, len(real) - 1, min(2000, len(real))).astype(int)].astype(np.float64)
    squares = np.square(real).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * real @ real.T, 0))
    return float(np.quantile(distances[np.triu_indices(len(real), 1)], quantile))


def support_size(
    draw: Callable[[int, int], Set], threshold: float, *, sizes: Sequence[int], batches: int = 20
) -> Support:
    """How large the support of a generator is at least, if it is uniform on it.

    Arora, Risteski, Zhang 2018 (arXiv:1706.08224): among n of N equally likely samples two are the same with
    probability 1 - exp(-n^2 / 2N), which is a half at n = sqrt(2 N ln 2). A generator that repeats a few samples often
    collides earlier, whatever else it can draw, and everything hangs on the threshold.

    Args:
        draw: (seed, num) -> features of so many samples.
        threshold: see `threshold_of`.
        sizes: numbers of samples in a batch, ascending.
        batches: of each size.
    """
    collisions = []
    for size in sizes:
        sets = (draw(size * batches + i, size) for i in range(batches))
        collisions.append(float(np.mean([nearest(s, s, 1, same=True).distances.min() < threshold for s in sets])))
    half = _crossing(sizes, collisions, 0.5)
    return Support(tuple(sizes), tuple(collisions), half, half**2 / (2 * math.log(2)), threshold)


def _crossing(sizes: Sequence[int], shares: Sequence[float], level: float) -> float:
    points = [(0, 0.0), *zip(sizes, shares, strict=True)]
    for (n, low), (m, high) in pairwise(points):
        if low < level <= high:
            return n + (m - n) * (level - low) / (high - low)
    return math.nan
