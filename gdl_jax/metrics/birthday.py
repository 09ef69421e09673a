"""The birthday paradox as a measure of how many different samples there are: Arora et al. 2018."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from gdl_jax.metrics.neighbours import nearest

Set = Float[np.ndarray, "_num units"]
Draw = Callable[[int, int], Set]
"""(seed, num) -> features of so many examples."""

WARNING = "The threshold decides the result, and a generator that repeats a few samples often seems smaller than it is."

SIZES = (20, 50, 100, 200, 400, 800, 1600)
"""Examples in a batch."""

OF_DATA = 0.05
"""Share of the largest batches of data that have a pair nearer than the threshold."""


class Support(NamedTuple):
    """What repeated batches tell.

    Attributes:
        sizes: examples in a batch.
        collisions: share of the batches of each size with a pair closer than the threshold.
        half: the size at which half of the batches would have one, interpolated; the smallest size where already more
            have one, the largest where fewer have.
        estimate: how many equally likely samples would collide so often, half^2 / (2 ln 2).
        bound: "at most" and "at least" for the last two cases: which the estimate is then.
        threshold: distance below which a pair counts as one sample twice.
    """

    sizes: tuple[int, ...]
    collisions: tuple[float, ...]
    half: float
    estimate: float
    bound: Literal["", "at most", "at least"]
    threshold: float


def drawn_from(features: Set) -> Draw:
    """Batches of a set, each without repetition."""
    return lambda seed, num: features[np.random.default_rng(seed).choice(len(features), num, replace=False)]


def sizes_for(*sets: int) -> tuple[int, ...]:
    """Those of `SIZES` that are no more than half of any set, so that batches differ; () where there is none."""
    return tuple(size for size in SIZES if size <= min(sets) // 2)


def threshold_of(draw: Draw, size: int, *, share: float = OF_DATA, batches: int = 100) -> float:
    """The distance below which so small a share of the batches of data have a pair: a quantile of their least ones.

    For the paradox counts pairs that are one example twice, and of the data none are. A quantile of the distances
    between any two examples does not do: a batch of 100 has 4,950 pairs, so that of their nearest thousandth nearly
    every batch has one, be it of data, and every good generator seems to have the same small support.

    Args:
        draw: of data.
        size: of the largest batch that is compared.
        share: of the batches.
        batches: from which it is taken.
    """
    least = [_least_distance(draw(1_000_000 + i, size)) for i in range(batches)]
    return float(np.quantile(least, share, method="lower"))


def support_size(draw: Draw, threshold: float, *, sizes: Sequence[int], batches: int = 20) -> Support:
    """How large the support of a generator is at least, if it is uniform on it.

    Arora, Risteski, Zhang 2018 (arXiv:1706.08224): among n of N equally likely samples two are the same with
    probability 1 - exp(-n^2 / 2N), which is a half at n = sqrt(2 N ln 2). A generator that repeats a few samples often
    collides earlier, whatever else it can draw, and everything hangs on the threshold. Where the first size collides
    more often than that, or the last less, there is a bound and nothing to interpolate.

    Args:
        draw: of samples.
        threshold: see `threshold_of`; equal examples count whatever it is.
        sizes: numbers of samples in a batch, ascending.
        batches: of each size.
    """

    def collides(size: int, i: int) -> bool:
        least = _least_distance(draw(size * batches + i, size))
        return least < threshold or least == 0

    collisions = tuple(float(np.mean([collides(size, i) for i in range(batches)])) for size in sizes)
    if collisions[0] > 0.5:
        half, bound = float(sizes[0]), "at most"
    elif max(collisions) < 0.5:
        half, bound = float(sizes[-1]), "at least"
    else:
        half, bound = _crossing(sizes, collisions, 0.5), ""
    return Support(tuple(sizes), collisions, half, half**2 / (2 * math.log(2)), bound, threshold)


def _least_distance(batch: Set) -> float:
    return float(nearest(batch, batch, 1, same=True).distances.min())


def _crossing(sizes: Sequence[int], shares: Sequence[float], level: float) -> float:
    points = list(zip(sizes, shares, strict=True))
    if shares[0] == level:
        return float(sizes[0])
    return next(
        n + (m - n) * (level - low) / (high - low) for (n, low), (m, high) in pairwise(points) if low < level <= high
    )
