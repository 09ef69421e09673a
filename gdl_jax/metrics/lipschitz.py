"""How steep a function is: what a critic of the Wasserstein distance must not exceed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gdl_jax.losses.penalties import points_between, squared_slopes


class Steepness(NamedTuple):
    """Of a function on a batch of real and a batch of generated points, Euclidean distances.

    Attributes:
        real: |grad f| at each real point.
        fake: at each generated point.
        between: at one random point between each pair.
        ratios: |f(x) - f(y)| / |x - y| of pairs of points, of either kind, at random.
    """

    real: Float[Array, " batch"]
    fake: Float[Array, " batch"]
    between: Float[Array, " batch"]
    ratios: Float[Array, " pairs"]

    def largest(self) -> Float[Array, ""]:
        """A lower bound of the Lipschitz constant, by all that was looked at."""
        return jnp.concatenate(self).max()


def steepness(
    function: Callable[[Array], Array],
    real: Float[Array, " batch *event"],
    fake: Float[Array, " batch *event"],
    key: Key[Array, ""],
) -> Steepness:
    """Slopes and ratios of differences; |f(x) - f(y)| <= K |x - y| for all pairs makes f K-Lipschitz.

    Args:
        function: (points) -> one number each, of each point alone.
        real: points.
        fake: as many.
        key: of the points between pairs, and of the pairs.
    """
    k_between, k_pairs = jax.random.split(key)
    places = (real, fake, points_between(real, fake, k_between))
    slopes = [jnp.sqrt(squared_slopes(function, points)) for points in places]
    points = jnp.concatenate([real, fake])
    others = jax.random.permutation(k_pairs, points)
    apart = jnp.sqrt(jnp.square(points - others).reshape(len(points), -1).sum(axis=1))
    rise = jnp.abs(function(points) - function(others))
    return Steepness(*slopes, jnp.where(apart > 0, rise / jnp.where(apart > 0, apart, 1.0), 0.0))
