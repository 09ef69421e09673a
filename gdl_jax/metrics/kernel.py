"""The kernel distance between two sets of features: Binkowski et al. 2018 (KID)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gdl_jax.metrics.spill import blocks

ROWS, COLUMNS = 1024, 4096
"""Of a block of the kernel matrix, at the most."""

MOST = 10_000
"""Examples of each set whose pairs are looked at; their number grows with its square."""

Set = Float[np.ndarray, "_num units"]


class Estimate(NamedTuple):
    """A value, and the standard deviation of its error."""

    value: float
    standard_error: float


class Sums(NamedTuple):
    """Of a kernel matrix.

    Attributes:
        rows: sum over the columns.
        columns: sum over the rows.
        squares: sum of all squared entries.
    """

    rows: Float[np.ndarray, " rows"]
    columns: Float[np.ndarray, " columns"]
    squares: float


def kernel_distance(real: Set, fake: Set, *, most: int = MOST, seed: int = 0) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (x y / units + 1)^3, unbiased, so that it may be negative.

    Over all pairs: Gretton et al. 2012, eq. 3, with sets of any two sizes. Binkowski et al. 2018 (arXiv:1801.01401),
    section 4, take its mean over 100 random subsets of 1,000, which estimates the same number with more noise, and
    which is no sample of 100: subsets share examples, and their standard deviation over the root of 100 is not the
    error of anything.

    The standard error is that over new data and new samples, by the jackknife over the examples of both sets. For a
    statistic of pairs that counts the part of the variance that belongs to no single example twice (Efron, Stein 1981,
    section 4), and nothing but this part is left where both distributions are one; so it is taken off once.

    Args:
        real: features of data.
        fake: features of samples.
        most: examples of a set that are looked at; of more, so many at random.
        seed: of this choice.

    Raises:
        ValueError: fewer than two examples in a set; with fewer than three, the standard error is nan.
    """
    if min(len(real), len(fake)) < 2:
        raise ValueError(
            f"A kernel distance needs two examples or more of each set; there are {min(len(real), len(fake))}."
        )
    rng = np.random.default_rng(seed)
    x, y = (s if len(s) <= most else s[np.sort(rng.choice(len(s), most, replace=False))] for s in (real, fake))
    n, m = len(x), len(y)
    (of_x, _, square_x), (of_y, _, square_y) = _sums(x, x, same=True), _sums(y, y, same=True)
    x_to_y, y_to_x, square_xy = _sums(x, y)
    within_x, within_y, between = of_x.sum(), of_y.sum(), x_to_y.sum()
    value = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
    if min(n, m) < 3:
        return Estimate(float(value), float("nan"))

    def jackknife(within: float, own: np.ndarray, across: np.ndarray, n: int, m: int) -> float:
        left_out = (within - 2 * own) / ((n - 1) * (n - 2)) - 2 * (between - across) / ((n - 1) * m)
        return (n - 1) / n * np.square(left_out - left_out.mean()).sum()

    variance = jackknife(within_x, of_x, x_to_y, n, m) + jackknife(within_y, of_y, y_to_x, m, n)
    of_pairs = (
        2 * _within(of_x, square_x) / (n * (n - 1))
        + 2 * _within(of_y, square_y) / (m * (m - 1))
        + 4 * _between(x_to_y, y_to_x, square_xy) / (n * m)
    )
    return Estimate(float(value), float(np.sqrt(max(variance - of_pairs, of_pairs))))


def _within(rows: np.ndarray, squares: float) -> float:
    """The mean square of what the two means of its examples do not explain of a kernel within a set."""
    n = len(rows)
    mean, own = rows.sum() / (n * (n - 1)), rows / (n - 1)
    # Least squares of the entries beside the diagonal by mean + a_i + a_j.
    effects = (own - mean) * (n - 1) / (n - 2)
    explained = n * (n - 1) * mean**2 + 2 * (n - 2) * np.square(effects).sum()
    freedom = n * (n - 1) - 2 * n
    return max(squares - explained, 0.0) / freedom if freedom > 0 else 0.0


def _between(rows: np.ndarray, columns: np.ndarray, squares: float) -> float:
    """The same of a kernel between two sets."""
    n, m = len(rows), len(columns)
    mean = rows.sum() / (n * m)
    explained = n * m * mean**2 + m * np.square(rows / m - mean).sum() + n * np.square(columns / n - mean).sum()
    return max(squares - explained, 0.0) / ((n - 1) * (m - 1))


def _sums(x: Set, y: Set, *, same: bool = False) -> Sums:
    """By blocks; of the same set without the diagonal."""
    rows, columns, squares = np.zeros(len(x)), np.zeros(len(y)), 0.0
    for i, left in enumerate(blocks(x, ROWS)):
        for j, right in enumerate(blocks(y, COLUMNS)):
            k = kernel(left.astype(np.float32), right.astype(np.float32))
            at, to = i * ROWS, j * COLUMNS
            if same:
                own = np.arange(max(at, to), min(at + len(left), to + len(right)))
                k[own - at, own - to] = 0
            rows[at : at + len(left)] += k.sum(1)
            columns[to : to + len(right)] += k.sum(0)
            squares += float(np.square(k).sum())
    return Sums(rows, columns, squares)


def kernel(x: Float[np.ndarray, "a units"], y: Float[np.ndarray, "b units"]) -> Float[np.ndarray, "a b"]:
    """(x y / units + 1)^3, in float64 from products in the dtype of x and y."""
    k = (x @ y.T).astype(np.float64) / x.shape[1] + 1
    return k * k * k
