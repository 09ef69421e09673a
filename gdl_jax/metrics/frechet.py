"""The Frechet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Moments = tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]


def moments(features: Float[np.ndarray, "num features"]) -> Moments:
    """Mean and unbiased covariance in float64.

    Raises:
        ValueError: fewer than two examples.
    """
    if len(features) < 2:
        raise ValueError(f"A covariance needs two examples or more; there are {len(features)}.")
    features = features.astype(np.float64)
    return features.mean(0), np.cov(features, rowvar=False).reshape(features.shape[1], features.shape[1])


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m - n|^2 + tr(C + D - 2 (C D)^(1/2)) (Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6).

    tr (C D)^(1/2) is the sum of the roots of the eigenvalues of C^(1/2) D C^(1/2), which is symmetric, so that no
    complex root appears where a covariance is singular.
    """
    (m, c), (n, d) = a, b
    values, vectors = np.linalg.eigh(c)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ d @ root)
    cross = np.sqrt(np.clip(product, 0, None)).sum()
    return float(np.square(m - n).sum() + np.trace(c) + np.trace(d) - 2 * cross)
