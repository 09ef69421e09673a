"""Precision and recall of distributions as a curve: Sajjadi et al. 2018 (PRD)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gdl_jax.metrics.spill import blocks, spilled

Set = Float[np.ndarray, "_num units"]


class Curve(NamedTuple):
    """Mean over the clusterings."""

    precision: Float[np.ndarray, " angles"]
    recall: Float[np.ndarray, " angles"]

    def f_score(self, beta: float) -> float:
        """The greatest (1 + beta^2) P R / (beta^2 P + R) on the curve: 8 weighs recall, 1/8 precision."""
        p, r = self.precision, self.recall
        below = beta**2 * p + r
        return float(np.divide((1 + beta**2) * p * r, below, out=np.zeros_like(p), where=below > 0).max())


def precision_recall_curve(
    real: Set, fake: Set, *, clusters: int = 20, clusterings: int = 10, angles: int = 1001, seed: int = 0
) -> Curve:
    """Precisions and recalls that go together, of histograms over clusters of both sets' features.

    For lambda = tan(angle): precision = sum over clusters of min(lambda p, q), recall = precision / lambda, p the
    histogram of data and q that of samples: Sajjadi et al. 2018 (arXiv:1806.00035), eq. 6 and 7, algorithm 1.

    Args:
        real: features of data.
        fake: features of samples; as many, for otherwise the clusters are those of the larger set.
        clusters: of each clustering by k-means.
        clusterings: over which the curve is averaged.
        angles: between 0 and pi / 2, both excluded.
        seed: of the clusterings.

    Raises:
        ValueError: fewer examples than clusters.
    """
    # Here, because it takes a second and few commands need it.
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    (both,) = spilled((part.astype(np.float32),) for features in (real, fake) for part in blocks(features))
    if len(both) < clusters:
        raise ValueError(f"{clusters} clusters need as many examples; there are {len(both)}.")
    found = []
    for i in range(clusterings):
        # Of batches so small several threads mostly wait for each other: 11 s for 1,100 x 64 on two cores, and 1.4 s.
        with threadpool_limits(1):
            labels = MiniBatchKMeans(clusters, n_init=10, random_state=seed + i).fit(both).labels_
        p, q = (np.bincount(part, minlength=clusters) / len(part) for part in np.split(labels, [len(real)]))
        found.append(curve_of_histograms(p, q, angles))
    return Curve(*(np.mean([getattr(curve, name) for curve in found], axis=0) for name in Curve._fields))


def curve_of_histograms(
    real: Float[np.ndarray, " bins"], fake: Float[np.ndarray, " bins"], angles: int = 1001
) -> Curve:
    """See `precision_recall_curve`."""
    slopes = np.tan(np.linspace(1e-6, np.pi / 2 - 1e-6, angles))
    precision = np.minimum(slopes[:, None] * real[None], fake[None]).sum(1)
    return Curve(np.clip(precision, 0, 1), np.clip(precision / slopes, 0, 1))
