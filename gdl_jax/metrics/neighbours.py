"""Nearest neighbours among features, block by block, and the metrics that are made of them.

Memory is that of one block of distances and of what goes into it, if the features lie in a file (see `spilled`).
Distances are taken on the device, of features from which the mean of the references has been subtracted, since |x|^2 +
|y|^2 - 2 x y loses the digits that both have in common; what is reported is then computed once more in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from gdl_jax.metrics.spill import blocks

ROWS, COLUMNS = 1024, 4096
"""Of a block of distances, at the most."""

FAR = 1e9
"""Coordinate of the rows that fill up the last block."""

Set = Float[np.ndarray, "_num units"]
Metric = Literal["euclidean", "manhattan"]


class Neighbours(NamedTuple):
    """The nearest first."""

    distances: Float[np.ndarray, "num k"]
    """float64."""
    indices: Int[np.ndarray, "num k"]


def nearest(queries: Set, references: Set, k: int, *, same: bool = False, metric: Metric = "euclidean") -> Neighbours:
    """The k references nearest to every query.

    Valle, chapter 4, takes all that `argpartition` returns, which is every reference, and its first k in no order; here
    they are k, and the nearest first.

    Args:
        queries: features of the examples that look.
        references: features of those that are found.
        k: how many, 1 or more.
        same: both are the same array, and nothing is its own neighbour.
        metric: "euclidean", or "manhattan", the sum of absolute differences.

    Raises:
        ValueError: there are not k references, or no query.
    """
    if not len(queries):
        raise ValueError("There is no example whose neighbours could be found.")
    if len(references) < k + same:
        raise ValueError(f"{k} neighbours of every example need {k + same} references; there are {len(references)}.")
    centre = references.mean(0, dtype=np.float64)
    found = []
    for own, rows in _blocks(queries, centre, ROWS):
        best = np.full((len(rows), k), np.inf, np.float32), np.zeros((len(rows), k), np.int32)
        for start, columns in _blocks(references, centre, COLUMNS):
            best = _nearest(rows, columns, best, start, own if same else -1, k, metric)
        found.append(np.asarray(best[1]))
    indices = np.concatenate(found)[: len(queries)]
    size = len(found[0])
    power = {"euclidean": 2, "manhattan": 1}[metric]
    parts = [
        np.linalg.norm(
            queries[at : at + size, None].astype(np.float64) - references[indices[at : at + size]], ord=power, axis=2
        )
        for at in range(0, len(queries), size)
    ]
    distances = np.concatenate(parts)
    order = distances.argsort(axis=1, kind="stable")
    return Neighbours(np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1))


def balls_around(queries: Set, centres: Set, radii: Float[np.ndarray, " centres"]) -> Int[np.ndarray, " num"]:
    """In how many of the balls every query lies, the surface included."""
    origin = centres.mean(0, dtype=np.float64)
    # The radii are distances of float32's digits, squared; what is on the surface is not to fall out of the ball.
    squares = np.square(radii).astype(np.float32) * np.float32(1 + 1e-6)
    counts = []
    for _, rows in _blocks(queries, origin, ROWS):
        total = np.zeros(len(rows), np.int32)
        for start, columns in _blocks(centres, origin, COLUMNS):
            reach = np.full(len(columns), -1.0, np.float32)
            part = squares[start : start + len(columns)]
            reach[: len(part)] = part
            total = _balls(rows, columns, reach, total)
        counts.append(np.asarray(total))
    return np.concatenate(counts)[: len(queries)]


class PrecisionRecall(NamedTuple):
    """All in [0, 1] but the density, which may be more than 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Set, fake: Set, *, k: int = 3, k_density: int = 5) -> PrecisionRecall:
    """How much of the samples is like data, and how much of the data is like samples.

    A ball around every example reaches to its k-th neighbour in its own set. Precision: share of the samples in a ball
    of the data; recall: share of the data in a ball of the samples (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1
    and 2). Density: balls of the data around a sample, over k; coverage: share of the balls of the data that hold a
    sample (Naeem et al. 2020, arXiv:2002.09797, eq. 3 and 4).

    Args:
        real: features of data.
        fake: features of samples; as many as of data make the values comparable.
        k: of precision and recall.
        k_density: of density and coverage.

    Raises:
        ValueError: fewer examples than a ball needs.
    """
    reach = nearest(real, real, max(k, k_density), same=True).distances
    of_fake = nearest(fake, fake, k, same=True).distances[:, -1]
    inside = balls_around(fake, real, reach[:, k_density - 1])
    closest = nearest(real, fake, 1).distances[:, 0]
    return PrecisionRecall(
        precision=float((balls_around(fake, real, reach[:, k - 1]) > 0).mean()),
        recall=float((balls_around(real, fake, of_fake) > 0).mean()),
        density=float(inside.mean() / k_density),
        coverage=float((closest <= reach[:, k_density - 1]).mean()),
    )


@partial(jax.jit, static_argnames=("k", "metric"))
def _nearest(
    rows: Float[Array, "rows units"],
    columns: Float[Array, "columns units"],
    best: tuple[Float[Array, "rows k"], Int[Array, "rows k"]],
    start: Int[Array, ""] | int,
    own: Int[Array, ""] | int,
    k: int,
    metric: Metric,
) -> tuple[Float[Array, "rows k"], Int[Array, "rows k"]]:
    """The nearest of those before and of a block that begins at `start`; the rows begin at `own` of the same, or -1."""
    distances = {"euclidean": _squared_distances, "manhattan": _manhattan_distances}[metric]
    indices = start + jnp.arange(len(columns))
    itself = (own >= 0) & (indices[None] == own + jnp.arange(len(rows))[:, None])
    far = jnp.concatenate([best[0], jnp.where(itself, jnp.inf, distances(rows, columns))], 1)
    indices = jnp.concatenate([best[1], jnp.broadcast_to(indices, (len(rows), len(indices)))], 1)
    values, places = lax.top_k(-far, k)
    return -values, jnp.take_along_axis(indices, places, 1)


@jax.jit
def _balls(
    rows: Float[Array, "rows units"],
    columns: Float[Array, "columns units"],
    reach: Float[Array, " columns"],
    total: Int[Array, " rows"],
) -> Int[Array, " rows"]:
    return total + (_squared_distances(rows, columns) <= reach[None]).sum(1)


def _squared_distances(a: Float[Array, "rows units"], b: Float[Array, "columns units"]) -> Float[Array, "rows columns"]:
    products = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    return jnp.maximum(jnp.square(a).sum(1)[:, None] + jnp.square(b).sum(1)[None] - 2 * products, 0)


def _manhattan_distances(
    a: Float[Array, "rows units"], b: Float[Array, "columns units"]
) -> Float[Array, "rows columns"]:
    # Row by row: all differences at once would be an array of three axes.
    return lax.map(lambda row: jnp.abs(row[None] - b).sum(1), a)


def _blocks(
    features: Set, centre: Float[np.ndarray, " units"], most: int
) -> Iterator[tuple[int, Float[np.ndarray, "_size units"]]]:
    """Where each begins, and the block: of equal size, so that one compiled program serves all; filled up far away."""
    size = min(most, 1 << (len(features) - 1).bit_length())
    for start, part in zip(range(0, len(features), size), blocks(features, size), strict=True):
        filled = np.full((size, features.shape[1]), FAR, np.float32)
        filled[: len(part)] = part - centre
        yield start, filled
