"""When a generator waits for its critic."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def head_start(
    repeats: int, *, updates: int = 100, first: int = 25, every: int = 500
) -> Callable[[Int[Array, ""]], Bool[Array, ""]]:
    """Of a step, whether the generator is updated in it, so that the critic is far ahead at times.

    The critic gets at least so many updates, in whole steps, before each of the generator's first ones and before every
    n-th (counted from 0) of all: code of the authors of Arjovsky et al. 2017, which their algorithm 1 does not have. In
    the other steps the generator is updated too.

    Args:
        repeats: the critic's updates in a step.
        updates: of the critic.
        first: so many steps of the generator; it may have several updates in each.
        every: n, of such steps, at least `first`.

    Raises:
        ValueError: a number below 1, or `every` below `first`.
    """
    if min(repeats, updates, first) < 1 or every < first:
        raise ValueError(
            f"Expected 1 or more repeats ({repeats}), updates ({updates}) and first ({first}) <= every ({every})."
        )
    length = math.ceil(updates / repeats)
    period = every - 1 + length

    def due(step: Int[Array, ""]) -> Bool[Array, ""]:
        # The first wait of a period begins when the generator has been updated `every` times.
        after = step - first * length - (every - first)
        return jnp.where(step < first * length, (step + 1) % length == 0, after % period >= length - 1)

    return due
