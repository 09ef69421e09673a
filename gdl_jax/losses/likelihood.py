"""Negative log-likelihoods and divergences per example, in nats: sums over the axes of the event, shape (batch,).

The mean over the batch is the caller's.
"""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.shapes import check_same_shape


def bernoulli_nll(
    logits: Float[Array, " batch *event"], targets: Float[Array, " batch *event"]
) -> Float[Array, " batch"]:
    """-log p(x) of independent Bernoullis with p = sigmoid(logit): sum of x softplus(-l) + (1 - x) softplus(l).

    Kingma and Welling 2014, appendix C.1, eq. 11. Targets in [0, 1]; for grey ones it is a cross-entropy whose least
    value is not 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(logits=logits, targets=targets)
    return sum_over_event(targets * jax.nn.softplus(-logits) + (1 - targets) * jax.nn.softplus(logits))


def gaussian_nll(
    mean: Float[Array, " batch *event"],
    targets: Float[Array, " batch *event"],
    log_scale: Float[Array, " batch *event"] | Float[Array, ""] | float,
) -> Float[Array, " batch"]:
    """-log N(x; mean, scale^2): sum of ((x - mean) / scale)^2 / 2 + log scale + log(2 pi) / 2.

    Kingma and Welling 2014, appendix C.2.

    Args:
        mean: unbounded.
        targets: unbounded.
        log_scale: logarithm of the standard deviation, one for all or one per element.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(mean=mean, targets=targets)
    if jnp.ndim(log_scale) == 0:
        log_scale = jnp.full_like(mean, log_scale)
    check_same_shape(mean=mean, log_scale=log_scale)
    deviation = (targets - mean) * jnp.exp(-log_scale)
    return sum_over_event(0.5 * jnp.square(deviation) + log_scale + 0.5 * math.log(2 * math.pi))


def weighted_squared_error(
    reconstruction: Float[Array, " batch *event"], targets: Float[Array, " batch *event"], weight: float
) -> Float[Array, " batch"]:
    """A weight times the mean over the event of (x - reconstruction)^2: Foster, chapter 3 (weight 1000 on digits).

    Up to a constant the `gaussian_nll` with the fixed variance n / (2 weight), n the number of elements of the event.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(reconstruction=reconstruction, targets=targets)
    return weight * jnp.square(targets - reconstruction).reshape(len(targets), -1).mean(axis=1)


def kl_standard_normal(
    mean: Float[Array, "batch latent"],
    log_variance: Float[Array, "batch latent"],
    *,
    reduce: Literal["sum", "mean"] = "sum",
) -> Float[Array, " batch"]:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) = (mean^2 + exp(log_variance) - 1 - log_variance) / 2 per dimension.

    Kingma and Welling 2014, appendix B.

    Args:
        mean: of the posterior.
        log_variance: logarithm of its variance, the square of the standard deviation.
        reduce: "sum" over the latent dimensions is the divergence, as in the paper and in Foster. "mean" is what
            Chollet's code (Jiang's lecture) and Lanham have: it divides the weight of this term by the number of
            dimensions.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(mean=mean, log_variance=log_variance)
    per_dimension = 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)
    return getattr(per_dimension, reduce)(axis=1)


def nats_to_bits_per_dimension(nats: Float[Array, "*batch"], dimensions: int) -> Float[Array, "*batch"]:
    """The nats over (dimensions ln 2). Of densities, the result is that of the scale on which the data stand."""
    return nats / (dimensions * math.log(2))


def sum_over_event(x: Float[Array, " batch *event"]) -> Float[Array, " batch"]:
    """Sum over every axis but the first."""
    return x.sum(axis=tuple(range(1, x.ndim)))
