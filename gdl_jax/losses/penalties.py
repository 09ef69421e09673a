"""Penalties on a discriminator's or critic's slope: functions of the function that they differentiate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gdl_jax.losses.likelihood import sum_over_event
from gdl_jax.losses.shapes import check_same_shape

Critic = Callable[[Array], Array]
"""Images -> logits, one or more per image. It must not mix images, or the slope at one of them does not exist."""

Penalty = Callable[[Critic, Array, Array, Array], Array]
"""(critic, real, fake, key) -> scalar."""

Patches = Literal["sum", "mean"]
"""Of the logits of one image, where there are several, what is differentiated."""


def gradient_penalty(
    critic: Critic,
    real: Float[Array, " batch *event"],
    fake: Float[Array, " batch *event"],
    key: Key[Array, ""],
    *,
    target: float = 1.0,
    one_sided: bool = False,
    patches: Patches = "mean",
    epsilon: float = 1e-12,
) -> Float[Array, ""]:
    """Mean of (|grad f(x)| - target)^2 / target^2 over points x = t real + (1 - t) fake.

    Gulrajani et al. 2017, eq. 3, with a target of 1. Karras et al. 2018 (arXiv:1710.10196), appendix A.1, divide by the
    square of another target; theirs is 1, or 750 for CIFAR-10.

    Args:
        critic: not to be followed by a sigmoid.
        real: paired with `fake` by position.
        fake: generated.
        key: of t, uniform on [0, 1], one per pair.
        target: wanted norm of the slope, over all of an image's pixels and channels.
        one_sided: only slopes above the target are penalised (the paper's section 4, last paragraph).
        patches: of a patch critic; the mean is what losses take. The sum, which a text takes, holds the mean of
            n logits to a slope of 1 / n.
        epsilon: added under the root, which has no derivative at 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(real=real, fake=fake)
    squared = squared_slopes(critic, points_between(real, fake, key), patches)
    return _distance(squared + epsilon, target, one_sided)


def dragan(
    critic: Critic,
    real: Float[Array, " batch *event"],
    fake: Float[Array, " batch *event"],
    key: Key[Array, ""],
    *,
    target: float = 1.0,
    spread: float = 0.5,
    patches: Patches = "mean",
    epsilon: float = 1e-12,
) -> Float[Array, ""]:
    """Mean of (|grad f(x)| - target)^2 / target^2 near real images: Kodali et al. 2017 (arXiv:1705.07215), section 2.3.

    x = real + t spread s u, with s the standard deviation of all pixels of the batch, u uniform on [0, 1] per pixel and
    t uniform on [0, 1] per image, as in the authors' code; the paper writes normal noise of a fixed width.

    Args:
        critic: what is penalised.
        real: where.
        fake: not looked at.
        key: of t and u.
        target: wanted norm of the slope.
        spread: how far from the images, in standard deviations.
        patches: of a patch critic.
        epsilon: added under the root.
    """
    k_share, k_noise = jax.random.split(key)
    t = jax.random.uniform(k_share, (len(real),) + (1,) * (real.ndim - 1))
    noise = spread * real.std() * jax.random.uniform(k_noise, real.shape)
    squared = squared_slopes(critic, real + t * noise, patches)
    return _distance(squared + epsilon, target, one_sided=False)


def r1(
    critic: Critic,
    real: Float[Array, " batch *event"],
    fake: Float[Array, " batch *event"],
    key: Key[Array, ""],
    *,
    patches: Patches = "mean",
) -> Float[Array, ""]:
    """Half the mean of |grad f|^2 at real images: Mescheder et al. 2018 (arXiv:1801.04406), eq. 9; the weight is gamma.

    Args:
        critic: what is penalised.
        real: where.
        fake: not looked at.
        key: not used.
        patches: of a patch critic.
    """
    return 0.5 * squared_slopes(critic, real, patches).mean()


def r2(
    critic: Critic,
    real: Float[Array, " batch *event"],
    fake: Float[Array, " batch *event"],
    key: Key[Array, ""],
    *,
    patches: Patches = "mean",
) -> Float[Array, ""]:
    """Half the mean of |grad f|^2 at generated images: Mescheder et al. 2018, eq. 10.

    Args:
        critic: what is penalised.
        real: not looked at.
        fake: where.
        key: not used.
        patches: of a patch critic.
    """
    return r1(critic, fake, real, key, patches=patches)


def drift(
    critic: Critic, real: Float[Array, " batch *event"], fake: Float[Array, " batch *event"], key: Key[Array, ""]
) -> Float[Array, ""]:
    """Mean of f(real)^2, which keeps a critic's scores from drifting away: Karras et al. 2018, appendix A.1.

    Args:
        critic: what is penalised; the paper's weight is 0.001.
        real: where.
        fake: not looked at.
        key: not used.
    """
    return jnp.square(critic(real)).mean()


def points_between(
    real: Float[Array, " batch *event"], fake: Float[Array, " batch *event"], key: Key[Array, ""]
) -> Float[Array, " batch *event"]:
    """Each pair of images mixed: t * real + (1 - t) * fake, with t uniform on [0, 1]."""
    t = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1))
    return t * real + (1 - t) * fake


def squared_slopes(
    critic: Critic, points: Float[Array, " batch *event"], patches: Patches = "mean"
) -> Float[Array, " batch"]:
    """|grad f(x)|^2 for every point, over all pixels and channels, f the sum or the mean of the point's logits."""

    def total(x: Array) -> Array:
        logits = critic(x)
        return logits.sum() if patches == "sum" else logits.reshape(len(x), -1).mean(axis=1).sum()

    return sum_over_event(jnp.square(jax.grad(total)(points)))


def _distance(squared: Float[Array, " batch"], target: float, one_sided: bool) -> Float[Array, ""]:
    """Of the roots from the target, relative to it."""
    beyond = jnp.sqrt(squared) / target - 1
    return jnp.square(jax.nn.relu(beyond) if one_sided else beyond).mean()
