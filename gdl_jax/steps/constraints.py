"""What is done to parameters after an update, so that they stay where they are allowed to be."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Constraint = Callable[[PyTree], PyTree]
"""Parameters of a network -> those that are allowed."""


def clip_weights(limit: float) -> Constraint:
    """Every parameter into [-limit, limit], biases and the norms' scales too: Arjovsky et al. 2017, algorithm 1.

    So does the authors' code, which clips before an update of the critic what is clipped after it here. The running
    statistics of norms are no parameters, and are never concerned.

    Args:
        limit: c of the paper, 0.01 there.

    Raises:
        ValueError: the limit is not above 0.
    """
    if not limit > 0:
        raise ValueError(f"The limit of the weights is {limit}; it has to be above 0.")

    return lambda params: jax.tree.map(lambda leaf: jnp.clip(leaf, -limit, limit), params)
