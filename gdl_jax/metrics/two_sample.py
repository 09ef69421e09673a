"""Whether two samples come from one distribution: Kolmogorov and Smirnov."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class TwoSample(NamedTuple):
    """The test of Kolmogorov and Smirnov.

    Attributes:
        statistic: the largest distance of the two empirical distribution functions.
        p_value: how probable a larger one would be if both samples came from one continuous distribution; its limit for
            many values. Of millions of values it is 0 for any two sets: see `threshold`.
        threshold: the statistic at which the p-value is 5 %.
    """

    statistic: float
    p_value: float
    threshold: float


def kolmogorov_smirnov(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]) -> TwoSample:
    """sup_t |F_x(t) - F_y(t)|, F(t) being the share of the values up to t.

    Raises:
        ValueError: one of them is empty, or has a value that is no number.
    """
    x, y = np.sort(x, axis=None), np.sort(y, axis=None)
    # What is no number is sorted to the end.
    if not len(x) or not len(y) or np.isnan(x[-1]) or np.isnan(y[-1]):
        raise ValueError("The test takes two samples of one number or more, none of them NaN.")
    # Between two values that occur neither share changes.
    statistic = float(max(np.abs(_share(x, at) - _share(y, at)).max() for at in (_distinct(x), _distinct(y))))
    size = len(x) * len(y) / (len(x) + len(y))
    return TwoSample(statistic, kolmogorov(statistic * math.sqrt(size)), critical_value(0.05) / math.sqrt(size))


def kolmogorov(t: float) -> float:
    """The probability that the supremum of a Brownian bridge's absolute value is above t.

    2 sum_k (-1)^(k - 1) exp(-2 k^2 t^2), and for small t its transform, 1 - sqrt(2 pi) / t sum_k exp(-(2 k - 1)^2 pi^2
    / (8 t^2)): Kolmogorov 1933; Marsaglia, Tsang, Wang 2003, eq. 2 and 3.
    """
    if t <= 0:
        return 1.0
    k = np.arange(1, 40)
    if t < 1:
        return float(1 - math.sqrt(2 * math.pi) / t * np.exp(-np.square((2 * k - 1) * math.pi / t) / 8).sum())
    return float(2 * ((-1.0) ** (k - 1) * np.exp(-2 * np.square(k * t))).sum())


def critical_value(level: float) -> float:
    """The first term of `kolmogorov`, inverted: sqrt(-ln(level / 2) / 2); 1.358 for 5 %."""
    return math.sqrt(-math.log(level / 2) / 2)


def distribution_function(
    values: Float[np.ndarray, " n"], at: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """The share of the values up to each point."""
    return _share(np.sort(values, axis=None), at)


def _share(ordered: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.searchsorted(ordered, at, "right") / len(ordered)


def _distinct(ordered: np.ndarray) -> np.ndarray:
    return ordered[np.append(True, ordered[1:] != ordered[:-1])]
