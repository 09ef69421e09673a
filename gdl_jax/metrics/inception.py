"""The inception score: Salimans et al. 2016."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, xlogy

from gdl_jax.metrics.spill import blocks


class Score(NamedTuple):
    """Over the parts."""

    mean: float
    standard_deviation: float


def inception_score(log_probabilities: Float[np.ndarray, "num classes"], *, parts: int = 10) -> Score:
    """exp(E_x KL(p(y|x) || p(y))), p(y) the mean of p(y|x), in each of several parts of the samples.

    Salimans et al. 2016 (arXiv:1606.03498), section 4. From 1 (nothing told, or one class only) to the number of
    classes. It never looks at data, and scores of different classifiers cannot be compared. Valle, chapter 4, takes the
    mean over the images and the classes alike, where the divergence is a sum over classes: the root of the score of as
    many degrees as there are classes, which of a score of 254 among 1,000 classes leaves 1.006.

    Args:
        log_probabilities: of the classes, for every sample.
        parts: into which the samples fall, in their order, which has to be random; p(y) is that of a part.

    Raises:
        ValueError: fewer samples than parts.
    """
    if len(log_probabilities) < parts:
        raise ValueError(f"{parts} parts need as many samples; there are {len(log_probabilities)}.")
    scores = [_score(part) for part in np.array_split(log_probabilities, parts)]
    return Score(float(np.mean(scores)), float(np.std(scores)))


def _score(log_p: Float[np.ndarray, "num classes"]) -> float:
    """By blocks: the mean of KL(p(y|x) || p(y)) is that of sum p log p, less sum p(y) log p(y)."""
    within, marginal = 0.0, 0.0
    for part in blocks(log_p):
        part = part.astype(np.float64)
        part = part - logsumexp(part, axis=1, keepdims=True)
        p = np.exp(part)
        # Where p is 0 its logarithm may be -inf, and their product counts as 0.
        within += np.where(p > 0, p * np.where(p > 0, part, 0), 0).sum()
        marginal = marginal + p.sum(0)
    marginal = marginal / len(log_p)
    return float(np.exp(within / len(log_p) - xlogy(marginal, marginal).sum()))
