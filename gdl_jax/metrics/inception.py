"""The inception score: Salimans et al. 2016."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp


class Score(NamedTuple):
    """Over the parts."""

    mean: float
    standard_deviation: float


def inception_score(log_probabilities: Float[np.ndarray, "num classes"], *, parts: int = 10) -> Score:
    """exp(E_x KL(p(y|x) || p(y))), p(y) the mean of p(y|x), in each of several parts of the samples.

    Salimans et al. 2016 (arXiv:1606.03498), section 4. From 1 (nothing told, or one class only) to the number of
    classes. It never looks at data, and scores of different classifiers cannot be compared.

    Args:
        log_probabilities: of the classes, for every sample.
        parts: into which the samples fall, in their order; p(y) is that of a part.

    Raises:
        ValueError: fewer samples than parts.
    """
    if len(log_probabilities) < parts:
        raise ValueError(f"{parts} parts need as many samples; there are {len(log_probabilities)}.")
    scores = [_score(part) for part in np.array_split(log_probabilities.astype(np.float64), parts)]
    return Score(float(np.mean(scores)), float(np.std(scores)))


def _score(log_p: Float[np.ndarray, "num classes"]) -> float:
    log_p = log_p - logsumexp(log_p, axis=1, keepdims=True)
    marginal = logsumexp(log_p, axis=0) - np.log(len(log_p))
    p = np.exp(log_p)
    # Where p is 0 its logarithm may be -inf, and their product counts as 0.
    divergence = np.where(p > 0, p * (np.where(p > 0, log_p, 0) - np.where(np.isfinite(marginal), marginal, 0)), 0)
    return float(np.exp(divergence.sum(1).mean()))
