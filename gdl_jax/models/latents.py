"""Paths between latent vectors."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def slerp(
    start: Float[Array, "num latent"], end: Float[Array, "num latent"], fraction: Float[Array, ""] | float
) -> Float[Array, "num latent"]:
    """Spherical interpolation (Shoemake 1985): the path keeps the norms that a Gaussian prior gives its vectors.

    sin((1 - t) w) / sin(w) * start + sin(t w) / sin(w) * end, with w the angle between them; where they are parallel,
    the straight line.
    """
    norms = jnp.linalg.norm(start, axis=1) * jnp.linalg.norm(end, axis=1)
    cosine = jnp.clip((start * end).sum(1) / jnp.maximum(norms, 1e-12), -1, 1)[:, None]
    angle = jnp.arccos(cosine)
    sine = jnp.sin(angle)
    straight = sine < 1e-4
    divisor = jnp.where(straight, 1.0, sine)
    first = jnp.where(straight, 1 - fraction, jnp.sin((1 - fraction) * angle) / divisor)
    second = jnp.where(straight, fraction, jnp.sin(fraction * angle) / divisor)
    return first * start + second * end
