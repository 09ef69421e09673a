"""Ways to bring a vector, such as the embedding of a class, into features."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.initializers import Initializer, glorot_uniform

Fusion = Literal["concat", "add", "multiply", "film"]


class Fuse(nn.Module):
    """Features x and a vector e per example, the same at all places.

    "concat" appends e to the channels. The others widen e by a learnt layer to the channels of x, so that the
    embedding can stay narrow: "add" x + W e, "multiply" x (W e), "film" (1 + W e) x + V e (Perez et al. 2018,
    arXiv:1709.07871, eq. 2, with the scale around 1). A convolution after "concat" can express the sum; the others are
    easier to optimise (Valle, chapter 5).

    Attributes:
        mode: which of them.
        kernel_init: of W and V.
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    mode: Fusion = "concat"
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *size channels"], e: Float[Array, "batch width"]
    ) -> Float[Array, "batch *size out"]:
        """The features with the vector in them."""
        x = x.astype(self.dtype)
        if self.mode == "concat":
            return jnp.concatenate([x, self._everywhere(e, x)], axis=-1)
        if self.mode == "add":
            return x + self._everywhere(self._widened(e, x), x)
        if self.mode == "multiply":
            return x * self._everywhere(self._widened(e, x), x)
        return x * (1 + self._everywhere(self._widened(e, x), x)) + self._everywhere(self._widened(e, x), x)

    def _widened(self, e: Array, x: Array) -> Array:
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        return nn.Dense(x.shape[-1], **settings)(e)

    def _everywhere(self, e: Array, x: Array) -> Array:
        e = e.astype(self.dtype).reshape(len(x), *(1,) * (x.ndim - 2), -1)
        return jnp.broadcast_to(e, (*x.shape[:-1], e.shape[-1]))
