"""What is done to parameters after an update, so that they stay where they are allowed to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

Constraint = Callable[[PyTree], PyTree]
"""Parameters of a network -> those that are allowed."""


def clip_weights(limit: float) -> Constraint:
    """Every parameter into [-limit, limit], but for the norms': Arjovsky et al. 2017, algorithm 1.

    A norm is a module with a parameter "scale"; to hold its scale below 0.01 would silence the layer. Its running
    statistics are no parameters, and are never concerned.

    Args:
        limit: c of the paper, 0.01 there.

    Raises:
        ValueError: the limit is not above 0.
    """
    if not limit > 0:
        raise ValueError(f"The limit of the weights is {limit}; it has to be above 0.")

    def clip(params: PyTree) -> PyTree:
        if isinstance(params, Mapping):
            return dict(params) if "scale" in params else {name: clip(part) for name, part in params.items()}
        return jax.tree.map(lambda leaf: jnp.clip(leaf, -limit, limit), params)

    return clip
