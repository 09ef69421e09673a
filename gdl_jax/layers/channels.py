"""Sums over everything but the channels, and their transpose: each is the derivative of the other.

XLA's sum down the columns of a matrix takes each column by itself on CPU; a product with ones is 4 to 12 times as fast
there (64x32x32x64 floats on two cores: 3.8 ms and 0.9).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

LEAST_COLUMNS = 64
"""Of a matrix that the product with ones reads at the speed of memory."""


@jax.custom_vjp
def channel_sum(x: Float[Array, "*rest channels"]) -> Float[Array, " channels"]:
    """The sum over all axes but the last, in float32."""
    return lax.platform_dependent(x, cpu=_product_with_ones, default=_plain_sum)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def spread(
    v: Float[Array, " channels"], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "*rest channels"]:
    """The same channels everywhere in an array of this shape."""
    return jnp.broadcast_to(v.astype(dtype), shape)


# Of x only shape and dtype are used, so that the compiler does not keep it.
channel_sum.defvjp(lambda x: (channel_sum(x), x), lambda x, ds: (spread(ds, x.shape, x.dtype),))
spread.defvjp(
    lambda v, shape, dtype: (spread(v, shape, dtype), v),
    lambda shape, dtype, v, dx: (channel_sum(dx).astype(v.dtype),),
)


def _plain_sum(x: Float[Array, "*rest channels"]) -> Float[Array, " channels"]:
    return x.astype(jnp.float32).sum(tuple(range(x.ndim - 1)))


def _product_with_ones(x: Float[Array, "*rest channels"]) -> Float[Array, " channels"]:
    channels = x.shape[-1]
    num = x.size // channels
    # Rows side by side, where they are short.
    together = next((n for n in range(-(-LEAST_COLUMNS // channels), 0, -1) if num % n == 0), 1)
    ones = jnp.ones((1, num // together), x.dtype)
    sums = jnp.matmul(ones, x.reshape(num // together, -1), preferred_element_type=jnp.float32)
    return sums.reshape(together, channels).sum(0)
