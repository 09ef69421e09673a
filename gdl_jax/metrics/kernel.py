"""The kernel distance between two sets of features: Binkowski et al. 2018 (KID)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Set = Float[np.ndarray, "_num units"]


class Estimate(NamedTuple):
    """A value, and the standard deviation of its error."""

    value: float
    standard_error: float


def kernel_distance(real: Set, fake: Set, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (x y / units + 1)^3, unbiased, so that it may be negative.

    Binkowski et al. 2018 (arXiv:1801.01401), section 4: the mean over random subsets of both sets; Gretton et al. 2012,
    eq. 3. The standard error is that over the subsets, over the root of their number; subsets that are a large part of
    a set share examples, and then it is too small. Where a subset would be the whole of both sets, the value is that of
    the whole, and its standard error the spread over random halves of them, which is the jackknife that deletes a half:
    Shao, Wu 1989, section 2.

    Args:
        real: features of data.
        fake: features of samples.
        subsets: how many.
        subset_size: examples of each set in a subset; all of the smaller set, where it has fewer.
        seed: of the choice.

    Raises:
        ValueError: fewer than two examples in a set.
    """
    size = min(subset_size, len(real), len(fake))
    if size < 2:
        raise ValueError(f"A kernel distance needs two examples or more of each set; there are {size}.")
    rng = np.random.default_rng(seed)

    def draw(size: int) -> list[float]:
        return [
            _squared_discrepancy(
                *(np.asarray(s[rng.choice(len(s), size, replace=False)], np.float32) for s in (real, fake))
            )
            for _ in range(subsets)
        ]

    if size == len(real) == len(fake) and size > 3:
        whole = _squared_discrepancy(*(np.asarray(s, np.float32) for s in (real, fake)))
        return Estimate(whole, float(np.std(draw(size // 2), ddof=min(1, subsets - 1))))
    values = draw(size)
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=min(1, subsets - 1)) / np.sqrt(subsets)))


def _squared_discrepancy(x: Set, y: Set) -> float:
    n = len(x)
    within = [kernel(s, s) for s in (x, y)]
    pairs = sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in within)
    return float(pairs - 2 * kernel(x, y).mean())


def kernel(x: Float[np.ndarray, "a units"], y: Float[np.ndarray, "b units"]) -> Float[np.ndarray, "a b"]:
    """(x y / units + 1)^3, in float64 from products in the dtype of x and y."""
    return ((x @ y.T).astype(np.float64) / x.shape[1] + 1) ** 3
