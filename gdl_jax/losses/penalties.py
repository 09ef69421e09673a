"""Penalties on a discriminator's or critic's slope: functions of the function that they differentiate."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gdl_jax.losses.likelihood import sum_over_event
from gdl_jax.losses.shapes import check_same_shape

Critic = Callable[[Array], Array]
"""Images -> logits, one or more per image. It must not mix images, or the slope at one of them does not exist."""

Penalty = Callable[[Critic, Array, Array, Array], Array]
"""(critic, real, fake, key) -> scalar."""


def gradient_penalty(
    critic: Critic,
    real: Float[Array, batch * event],
    fake: Float[Array, batch * event],
    key: Key[Array, ""],
    *,
    target: float = 1.0,
    epsilon: float = 1e-12,
) -> Float[Array, ""]:
    """Mean of (|grad f(x)| - target)^2 over points x = t real + (1 - t) fake (Gulrajani et al. 2017, eq. 3).

    Two-sided: slopes below the target are penalised too.

    Args:
        critic: of which the sum of an image's logits is differentiated.
        real: paired with `fake` by position.
        fake: generated.
        key: of t, uniform on [0, 1], one per pair.
        target: wanted norm of the slope, over all of an image's pixels and channels.
        epsilon: added under the root, which has no derivative at 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(real=real, fake=fake)
    t = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1))
    slopes = jax.grad(lambda x: critic(x).sum())(t * real + (1 - t) * fake)
    norms = jnp.sqrt(sum_over_event(jnp.square(slopes)) + epsilon)
    return jnp.square(norms - target).mean()
