"""How the codes of a data set lie: against a standard normal prior, and in the plane, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Bool, Float, Int, UInt8

from gdl_jax.metrics.neighbours import nearest

INACTIVE_VARIANCE = 0.01
"""A dimension whose codes vary less holds nothing (Burda et al. 2016, section 5.2, of the posterior's means)."""

Codes = Float[np.ndarray, "n latent"]


@dataclass(frozen=True, eq=False)
class PriorCheck:
    """Codes against N(0, 1), dimension by dimension.

    Attributes:
        mean: of each dimension.
        std: standard deviation of each.
        ks: distance of Kolmogorov and Smirnov of each; see `ks_distance`.
    """

    mean: Float[np.ndarray, " latent"]
    std: Float[np.ndarray, " latent"]
    ks: Float[np.ndarray, " latent"]


def prior_check(codes: Codes) -> PriorCheck:
    """Means, standard deviations and distances from N(0, 1) of the dimensions."""
    codes = codes.astype(np.float64)
    return PriorCheck(codes.mean(axis=0), codes.std(axis=0), ks_distance(codes))


def ks_distance(codes: Codes) -> Float[np.ndarray, " latent"]:
    """The largest gap between the empirical distribution function of a dimension and that of N(0, 1), from 0 to 1.

    n codes drawn from N(0, 1) stay under 1.36 / sqrt(n) in 95 of 100 cases.
    """
    n = len(codes)
    below = p_values(np.sort(codes, axis=0)).astype(np.float64)
    steps = np.arange(n + 1)[:, None] / n
    return np.maximum(np.abs(below - steps[1:]), np.abs(below - steps[:-1])).max(axis=0)


def p_values(codes: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Each coordinate through the distribution function of N(0, 1): codes of that prior fill [0, 1] evenly."""
    return np.asarray(ndtr(codes.astype(np.float32))).astype(codes.dtype)


def quantiles(probabilities: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """The inverse of `p_values`."""
    return np.asarray(ndtri(probabilities.astype(np.float32))).astype(probabilities.dtype)


def kl_to_prior(codes: Codes) -> float:
    """KL(N(m, S) || N(0, 1)) in nats, m and S being mean and covariance of the codes; infinite where they lie flat.

    (tr S + m'm - d - ln det S) / 2: what the first two moments say of the divergence of the codes' distribution.
    """
    codes = codes.astype(np.float64)
    mean, covariance = codes.mean(axis=0), np.atleast_2d(np.cov(codes.T, bias=True))
    sign, log_determinant = np.linalg.slogdet(covariance)
    if sign <= 0:
        return float("inf")
    return float(0.5 * (np.trace(covariance) + mean @ mean - len(mean) - log_determinant))


def principal_component_error(
    train: UInt8[np.ndarray, "n height width channels"],
    images: UInt8[np.ndarray, "m height width channels"],
    components: int,
) -> float:
    """The squared error of an image, pixels in [0, 1], that principal components leave: a linear autoencoder's least.

    Args:
        train: of which mean and components are taken.
        images: to measure.
        components: how many.
    """
    known = train.reshape(len(train), -1).astype(np.float32) / 255
    mean = known.mean(axis=0)
    known -= mean
    wide = known.shape[1] > len(known)
    # Of the smaller of the two products of the data with itself, which have the same positive eigenvalues.
    values, vectors = np.linalg.eigh(known @ known.T if wide else known.T @ known)
    kept = values[-components:] > 1e-6 * values[-1]
    vectors = vectors[:, -components:][:, kept]
    axes = known.T @ vectors / np.sqrt(values[-components:][kept]) if wide else vectors
    errors = []
    for image in images:
        seen = image.reshape(-1) / np.float32(255) - mean
        errors.append(np.square(seen).sum() - np.square(seen @ axes).sum())
    return float(np.mean(errors))


def cells(low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"], side: int) -> Float[np.ndarray, "cells 2"]:
    """The centres of side x side equal cells of a rectangle."""
    x, y = (low[axis] + (np.arange(side) + 0.5) / side * (high[axis] - low[axis]) for axis in (0, 1))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def class_areas(
    points: Float[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    num_classes: int,
    *,
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    side: int = 64,
) -> Float[np.ndarray, " classes"]:
    """The share of a rectangle whose nearest point has each class; the shares sum to 1.

    Args:
        points: in the plane.
        labels: the class of each point.
        num_classes: of the classes.
        low: lower corner of the rectangle.
        high: upper corner.
        side: it is measured at the centres of side x side cells.
    """
    owners = nearest(cells(low, high, side), points, 1).indices[:, 0]
    return np.bincount(labels[owners], minlength=num_classes) / side**2


def empty_share(
    points: Float[np.ndarray, "n 2"],
    *,
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    side: int = 20,
) -> float:
    """The share of side x side equal cells of a rectangle that hold none of the points."""
    place = np.floor((points - low) / np.maximum(high - low, 1e-12) * side).astype(int)
    # A point on the upper edge belongs to the last cell.
    place = place[((points >= low) & (points <= high)).all(axis=1)].clip(0, side - 1)
    return float(1 - len(np.unique(place @ np.array([1, side]))) / side**2)


def share_of_nearest(
    images: UInt8[np.ndarray, "q height width channels"],
    known: UInt8[np.ndarray, "n height width channels"],
    has_it: Bool[np.ndarray, " n"],
    neighbours: int = 5,
) -> Float[np.ndarray, " q"]:
    """How much an image looks as if it had an attribute: its share among the nearest known images, by pixels."""
    flat, reference = (batch.reshape(len(batch), -1).astype(np.float32) for batch in (images, known))
    return has_it[nearest(flat, reference, min(neighbours, len(known))).indices].mean(axis=1)
