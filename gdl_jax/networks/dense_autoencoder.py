"""Dense encoder and decoder for autoencoders and VAEs."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.networks.mlp import MLP


class DenseEncoder(nn.Module):
    """Flattened image -> hidden layers -> one code vector per head.

    Attributes:
        latent: size of a code.
        heads: number of codes, each a Dense layer of its own; two are the mean and the log-variance of a posterior.
        hidden: units of the hidden layers.
        activation: of the hidden layers.
        code_activation: of the codes; None for none.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    latent: int = 2
    heads: int = 2
    hidden: tuple[int, ...] = (1000, 500, 250)
    activation: Activation = nn.relu
    code_activation: Activation | None = None
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch {self.latent}"], ...]:
        """(mean, log_variance), or (code,) with one head; float32."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = MLP(self.hidden, self.activation, activate_last=True, **settings)(x, train=train)
        codes = (nn.Dense(self.latent, **settings)(x).astype(jnp.float32) for _ in range(self.heads))
        return tuple(self.code_activation(code) if self.code_activation else code for code in codes)


class DenseDecoder(nn.Module):
    """Code vector -> hidden layers -> image.

    Attributes:
        shape: height, width, channels.
        hidden: units of the hidden layers.
        activation: of the hidden layers.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    hidden: tuple[int, ...] = (250, 500, 1000)
    activation: Activation = nn.relu
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *, train: bool
    ) -> Float[Array, "batch {self.shape[0]} {self.shape[1]} {self.shape[2]}"]:
        """Logits or means, float32, unbounded."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = MLP((*self.hidden, math.prod(self.shape)), self.activation, **settings)(z, train=train)
        return x.reshape(-1, *self.shape)
