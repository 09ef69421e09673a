"""Distances of distributions on a line, exact."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Num

from gdl_jax.losses.shapes import check_same_shape


def kl_normal(mean_p: float, scale_p: float, mean_q: float, scale_q: float) -> float:
    """KL(p || q) of two normals, ln(s_q / s_p) + (s_p^2 + (m_p - m_q)^2) / (2 s_q^2) - 1/2, in nats.

    Args:
        mean_p: of the first.
        scale_p: its standard deviation, > 0.
        mean_q: of the second.
        scale_q: likewise.
    """
    return math.log(scale_q / scale_p) + (scale_p**2 + (mean_p - mean_q) ** 2) / (2 * scale_q**2) - 0.5


def jensen_shannon(p: Num[np.ndarray, " bins"], q: Num[np.ndarray, " bins"]) -> float:
    """Jensen-Shannon divergence of two histograms in nats, from 0 to ln 2: Lin 1991, eq. 4.1.

    (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2; a bin that is empty in p adds nothing to the first.

    Args:
        p: counts or masses of the bins; they are divided by their sum.
        q: likewise.

    Raises:
        ValueError: the numbers of bins differ, one is below 0, or all are 0.
    """
    check_same_shape(p=p, q=q)
    if min(p.min(), q.min()) < 0 or not p.any() or not q.any():
        raise ValueError("A histogram has no negative bin, and a positive one.")
    p, q = p / p.sum(), q / q.sum()
    mean = (p + q) / 2

    def divergence(p: np.ndarray) -> float:
        there = p > 0
        return float((p[there] * np.log(p[there] / mean[there])).sum())

    return (divergence(p) + divergence(q)) / 2


def earth_movers_distance(p: Float[np.ndarray, " bins"], q: Float[np.ndarray, " bins"], width: float = 1.0) -> float:
    """W_1 of two histograms with the same bins: the area between their cumulative distributions.

    Args:
        p: mass of each bin.
        q: likewise, with the same sum.
        width: of a bin.

    Raises:
        ValueError: the sums differ.
    """
    _check_mass(p, q)
    return float(np.abs(np.cumsum(p - q)).sum() * width)


def transport_plan(p: Float[np.ndarray, " bins"], q: Float[np.ndarray, " bins"]) -> Float[np.ndarray, "bins bins"]:
    """The cheapest way to turn one histogram into the other: entry (i, j) goes from bin i to bin j.

    On a line it keeps the order: what lies leftmost goes leftmost. Its sums are p over j and q over i.

    Raises:
        ValueError: the sums differ.
    """
    _check_mass(p, q)
    # Mass between two cumulative bounds of p and two of q is the overlap of the two intervals.
    ends_p, ends_q = np.cumsum(p), np.cumsum(q)
    high = np.minimum(ends_p[:, None], ends_q)
    low = np.maximum((ends_p - p)[:, None], ends_q - q)
    return np.clip(high - low, 0, None)


def _check_mass(p: Float[np.ndarray, " bins"], q: Float[np.ndarray, " bins"]) -> None:
    if not math.isclose(p.sum(), q.sum(), rel_tol=1e-6):
        raise ValueError(f"Both histograms need the same mass, and they have {p.sum():g} and {q.sum():g}.")
