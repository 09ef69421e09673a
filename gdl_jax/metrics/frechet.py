"""The Frechet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float

from gdl_jax.metrics.spill import blocks

Moments = tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]


@dataclass(frozen=True)
class Sums:
    """What moments are made of, mergeable, so that features need not be kept: float64.

    Attributes:
        num: of examples.
        mean: of them.
        scatter: sum of (x - mean) (x - mean)^T.
    """

    num: int
    mean: Float[np.ndarray, " features"]
    scatter: Float[np.ndarray, "features features"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "num features"]) -> Sums:
        """Of one batch."""
        features = features.astype(np.float64)
        mean = features.sum(0) / max(len(features), 1)
        return cls(len(features), mean, (features - mean).T @ (features - mean))

    def __add__(self, other: Sums) -> Sums:
        """Of both together: Chan, Golub, LeVeque 1983, eq. 1.5."""
        num = self.num + other.num
        apart = other.mean - self.mean
        mean = self.mean + apart * other.num / num
        return Sums(num, mean, self.scatter + other.scatter + np.outer(apart, apart) * self.num * other.num / num)

    def moments(self) -> Moments:
        """Mean and unbiased covariance.

        Raises:
            ValueError: fewer than two examples.
        """
        if self.num < 2:
            raise ValueError(f"A covariance needs two examples or more; there are {self.num}.")
        return self.mean, self.scatter / (self.num - 1)


def moments(features: Float[np.ndarray, "num features"]) -> Moments:
    """Mean and unbiased covariance in float64.

    Raises:
        ValueError: fewer than two examples.
    """
    return _sums(blocks(features) if len(features) else [features]).moments()


def _sums(parts: Iterable[Float[np.ndarray, "_num features"]]) -> Sums:
    return reduce(add, map(Sums.of, parts))


def frechet_infinity(
    fake: Float[np.ndarray, "num features"], real: Moments, *, points: int = 15, seed: int = 0
) -> float:
    """The distance that infinitely many samples would have, by a straight line through those of fewer over 1 / number.

    Chong, Forsyth 2020 (arXiv:1911.07023), section 3: the distance of n samples is too large by about c / n, where c
    depends on the generator, so that even equal numbers compare two generators unfairly.

    Args:
        fake: features of samples.
        real: moments of data.
        points: distances of so many numbers of samples, drawn at random: evenly from a tenth of them, and from as many
            as a covariance of full rank needs, to all.
        seed: of the choice.

    Raises:
        ValueError: fewer samples than twice what a covariance of full rank needs, of which no line can be drawn.
    """
    num, least = len(fake), fake.shape[1] + 1
    if num < 2 * least:
        raise ValueError(f"An extrapolation needs {2 * least} samples of {least - 1} features; there are {num}.")
    numbers = np.linspace(max(num // 10, least), num, points).astype(int)
    rng = np.random.default_rng(seed)
    found = []
    for n in numbers:
        chosen = np.sort(rng.choice(num, n, replace=False))
        found.append(frechet_distance(_sums(fake[part] for part in blocks(chosen)).moments(), real))
    return float(np.polyfit(1 / numbers, found, 1)[1])


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m - n|^2 + tr(C + D - 2 (C D)^(1/2)) (Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6).

    tr (C D)^(1/2) is the sum of the roots of the eigenvalues of C^(1/2) D C^(1/2), which is symmetric, so that no
    complex root appears where a covariance is singular. (Valle, chapter 4, takes the trace of the root, and then the
    trace of this number, which there is none of.)
    """
    (m, c), (n, d) = a, b
    values, vectors = np.linalg.eigh(c)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ d @ root)
    cross = np.sqrt(np.clip(product, 0, None)).sum()
    return float(np.square(m - n).sum() + np.trace(c) + np.trace(d) - 2 * cross)
