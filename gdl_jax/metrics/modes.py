"""Whether samples reach every mode of data whose modes are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Coverage(NamedTuple):
    """Of classes by a classifier.

    Attributes:
        shares: of the samples, by the class that is most probable.
        covered: how many classes of the data at least one sample has.
        divergence: KL(shares || shares in the data), in nats, of the samples whose classes the data have; infinite
            where there are none.
        outside: share of the samples whose classes the data do not have.
        confidence: mean probability of the class that is most probable.
    """

    shares: Float[np.ndarray, " classes"]
    covered: int
    divergence: float
    outside: float
    confidence: float


def class_coverage(
    log_probabilities: Float[np.ndarray, "num classes"], data_shares: Float[np.ndarray, " classes"]
) -> Coverage:
    """Which classes samples have.

    Args:
        log_probabilities: of a classifier, for every sample.
        data_shares: of the classes in the data, which add up to 1.

    Raises:
        ValueError: the numbers of classes differ.
    """
    classes = log_probabilities.shape[1]
    if data_shares.shape != (classes,):
        raise ValueError(f"The classifier has {classes} classes, and the shares are of {len(data_shares)}.")
    shares = np.bincount(log_probabilities.argmax(1), minlength=classes) / len(log_probabilities)
    there = (shares > 0) & (data_shares > 0)
    inside = shares[there] / shares[there].sum()
    divergence = (inside * np.log(inside / data_shares[there])).sum() if there.any() else np.inf
    outside = shares[data_shares == 0].sum()
    confidence = np.exp(log_probabilities.max(1)).mean()
    return Coverage(shares, int(there.sum()), float(divergence), float(outside), float(confidence))


class MixtureCoverage(NamedTuple):
    """Of the components of a mixture.

    Attributes:
        counts: good samples of each component.
        captured: components with at least one.
        high_quality: share of the samples that are good.
    """

    counts: np.ndarray
    captured: int
    high_quality: float


def mixture_coverage(
    samples: Float[np.ndarray, "num axes"], centres: Float[np.ndarray, "modes axes"], standard_deviation: float
) -> MixtureCoverage:
    """A sample is good within three standard deviations of the nearest centre: Srivastava et al. 2017, section 4.1."""
    distances = np.linalg.norm(samples[:, None] - centres[None], axis=2)
    good = distances.min(1) <= 3 * standard_deviation
    counts = np.bincount(distances.argmin(1)[good], minlength=len(centres))
    return MixtureCoverage(counts, int((counts > 0).sum()), float(good.mean()))


def ring(modes: int = 8, radius: float = 2.0) -> Float[np.ndarray, "modes 2"]:
    """Centres on a circle."""
    angles = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def square_grid(side: int = 5, spacing: float = 2.0) -> Float[np.ndarray, "modes 2"]:
    """Centres on a square grid around the origin."""
    places = spacing * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 2)
