"""Whether samples are as they have to be: Valle, chapter 4, "domain specifications"."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Num

Predicate = Callable[[Num[np.ndarray, "n ..."]], Bool[np.ndarray, " n"]]
"""Whether each sample is as it has to be."""


def satisfied(samples: Num[np.ndarray, "n ..."], predicates: Mapping[str, Predicate]) -> dict[str, float]:
    """The share of the samples for which each predicate holds. Of real samples it is to be told too: it may be below 1.

    Raises:
        ValueError: a predicate does not give one answer per sample.
    """
    shares = {}
    for name, predicate in predicates.items():
        holds = predicate(samples)
        if holds.shape != (len(samples),):
            raise ValueError(f"{name!r} gave answers of shape {holds.shape} for {len(samples)} samples.")
        shares[name] = float(holds.mean())
    return shares


def repeated(samples: Num[np.ndarray, "n ..."]) -> float:
    """The share of the samples that are equal to an earlier one; to be told of real samples too."""
    return 1 - len(np.unique(samples.reshape(len(samples), -1), axis=0)) / len(samples)
