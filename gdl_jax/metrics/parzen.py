"""The Parzen-window estimate of the log-likelihood: Goodfellow et al. 2014, kept for history."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from gdl_jax.metrics.kernel import Estimate
from gdl_jax.metrics.spill import blocks

Set = Float[np.ndarray, "_num units"]
ROWS = 256

WARNING = (
    "A Parzen window does not tell good samples from bad ones in many dimensions: Theis et al. 2016 "
    "(arXiv:1511.01844), section 3.2."
)


def parzen_log_likelihood(points: Set, samples: Set, bandwidth: float) -> Float[np.ndarray, " num"]:
    """Log density in nats at every point of the mean of Gaussians around the samples.

    logsumexp_i(-|x - x_i|^2 / 2 s^2) - log N - D/2 log(2 pi s^2): Breuleux et al. 2011.
    """
    dimensions = samples.shape[1]
    parts = []
    for x in blocks(points, ROWS):
        x = x.astype(np.float64)
        found = np.full(len(x), -np.inf)
        for block in blocks(samples):
            block = block.astype(np.float64)
            distances = np.square(x).sum(1)[:, None] + np.square(block).sum(1)[None] - 2 * x @ block.T
            found = np.logaddexp(found, logsumexp(-np.maximum(distances, 0) / (2 * bandwidth**2), axis=1))
        parts.append(found)
    constant = math.log(len(samples)) + dimensions / 2 * math.log(2 * math.pi * bandwidth**2)
    return np.concatenate(parts) - constant


def parzen_estimate(
    test: Set, validation: Set, samples: Set, *, bandwidths: Sequence[float] | None = None
) -> tuple[Estimate, float]:
    """The mean over the test points with its standard error, and the bandwidth that was best on the validation points.

    Args:
        test: points that are measured.
        validation: points by which the bandwidth is chosen.
        samples: around which the Gaussians stand.
        bandwidths: to choose from; ten from 0.1 to 1, evenly on a logarithmic scale, where none are given.
    """
    widths = np.geomspace(0.1, 1, 10) if bandwidths is None else bandwidths
    best = max(widths, key=lambda width: parzen_log_likelihood(validation, samples, width).mean())
    found = parzen_log_likelihood(test, samples, best)
    return Estimate(float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found)))), float(best)
