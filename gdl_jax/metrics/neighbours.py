"""Nearest neighbours among features, block by block, and the metrics that are made of them.

Memory is that of the features and of one block of distances. Distances are taken on the device, of features from which
the mean of the references has been subtracted, since |x|^2 + |y|^2 - 2 x y loses the digits that both have in common;
what is reported is then computed once more in float64.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

ROWS, COLUMNS = 1024, 4096
"""Of a block of distances."""

FAR = 1e9
"""Coordinate of the rows that fill up the last block."""

Set = Float[np.ndarray, "num units"]


class Neighbours(NamedTuple):
    """The nearest first."""

    distances: Float[np.ndarray, "num k"]
    """Euclidean, float64."""
    indices: Int[np.ndarray, "num k"]


def nearest(queries: Set, references: Set, k: int, *, same: bool = False) -> Neighbours:
    """The k references nearest to every query.

    Args:
        queries: features of the examples that look.
        references: features of those that are found.
        k: how many, 1 or more.
        same: both are the same array, and nothing is its own neighbour.

    Raises:
        ValueError: there are not k references.
    """
    if len(references) < k + same:
        raise ValueError(f"{k} neighbours of every example need {k + same} references; there are {len(references)}.")
    centre = references.mean(0, dtype=np.float64)
    rows, columns = _blocks(queries, centre, ROWS), _blocks(references, centre, COLUMNS)
    found = [np.asarray(_nearest(row, columns, i * ROWS if same else -1, k)) for i, row in enumerate(rows)]
    indices = np.concatenate(found)[: len(queries)]
    parts = [
        np.linalg.norm(queries[at : at + ROWS, None].astype(np.float64) - references[indices[at : at + ROWS]], axis=2)
        for at in range(0, len(queries), ROWS)
    ]
    distances = np.concatenate(parts)
    order = distances.argsort(axis=1, kind="stable")
    return Neighbours(np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1))


def balls_around(queries: Set, centres: Set, radii: Float[np.ndarray, " centres"]) -> Int[np.ndarray, " num"]:
    """In how many of the balls every query lies, the surface included."""
    origin = centres.mean(0, dtype=np.float64)
    rows, columns = _blocks(queries, origin, ROWS), _blocks(centres, origin, COLUMNS)
    squares = np.full(columns.shape[:2], -1.0, np.float32)
    # The radii are distances of float32's digits, squared; what is on the surface is not to fall out of the ball.
    squares.reshape(-1)[: len(radii)] = np.square(radii) * (1 + 1e-6)
    counts = [np.asarray(_balls(row, columns, jnp.asarray(squares))) for row in rows]
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


@partial(jax.jit, static_argnames="k")
def _nearest(
    rows: Float[Array, "rows units"], columns: Float[Array, "blocks columns units"], own: int, k: int
) -> Int[Array, "rows k"]:
    def merge(best: tuple[Array, Array], block: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        start, references = block
        indices = start + jnp.arange(len(references))
        squares = _squared_distances(rows, references)
        itself = (own >= 0) & (indices[None] == own + jnp.arange(len(rows))[:, None])
        squares = jnp.concatenate([best[0], jnp.where(itself, jnp.inf, squares)], 1)
        indices = jnp.concatenate([best[1], jnp.broadcast_to(indices, (len(rows), len(indices)))], 1)
        values, places = lax.top_k(-squares, k)
        return (-values, jnp.take_along_axis(indices, places, 1)), None

    none = jnp.full((len(rows), k), jnp.inf), jnp.zeros((len(rows), k), jnp.int32)
    starts = columns.shape[1] * jnp.arange(len(columns))
    return lax.scan(merge, none, (starts, columns))[0][1]


@jax.jit
def _balls(
    rows: Float[Array, "rows units"],
    columns: Float[Array, "blocks columns units"],
    squares: Float[Array, "blocks columns"],
) -> Int[Array, " rows"]:
    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        centres, reach = block
        return total + (_squared_distances(rows, centres) <= reach[None]).sum(1), None

    return lax.scan(add, jnp.zeros(len(rows), jnp.int32), (columns, squares))[0]


def _squared_distances(a: Float[Array, "rows units"], b: Float[Array, "columns units"]) -> Float[Array, "rows columns"]:
    products = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    return jnp.maximum(jnp.square(a).sum(1)[:, None] + jnp.square(b).sum(1)[None] - 2 * products, 0)


def _blocks(features: Set, centre: Float[np.ndarray, " units"], size: int) -> Float[np.ndarray, "blocks size units"]:
    """Of equal size, so that one compiled program serves all; what fills up the last lies far away."""
    num = -(-len(features) // size)
    filled = np.full((num * size, features.shape[1]), FAR, np.float32)
    filled[: len(features)] = features - centre
    return filled.reshape(num, size, -1)
