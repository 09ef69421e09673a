"""Layers that let a discriminator compare the images of a batch with each other."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.initializers import Initializer, glorot_uniform


class MinibatchDiscrimination(nn.Module):
    """Appends to every example how near the others of its batch are: Salimans et al. 2016 (arXiv:1606.03498), sec. 3.2.

    With M_i = x_i T, a matrix of `features` rows: o_ib = sum over j of exp(-|M_ib - M_jb|_1), j = i among them (a
    constant 1). A generator that always draws the same is recognised by it. It mixes the examples of the global batch,
    which penalties on slopes at single images do not suit.

    Attributes:
        features: numbers that are appended.
        kernel_dim: length of the rows.
        kernel_init: initial T.
        dtype: dtype of the product; distances are float32.
        param_dtype: dtype of T.
    """

    features: int
    kernel_dim: int = 5
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch units"]) -> Float[Array, "batch more_units"]:
        """The units, and what is appended."""
        settings = {"use_bias": False, "kernel_init": self.kernel_init, "param_dtype": self.param_dtype}
        rows = nn.Dense(self.features * self.kernel_dim, dtype=self.dtype, **settings)(x)
        rows = rows.reshape(len(x), self.features, self.kernel_dim).astype(jnp.float32)
        distances = jnp.abs(rows[:, None] - rows[None]).sum(axis=-1)
        near = jnp.exp(-distances).sum(axis=1)
        return jnp.concatenate([x.astype(self.dtype), near.astype(self.dtype)], axis=-1)
