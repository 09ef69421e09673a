"""Multilayer perceptron."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.normalisation import Norm


class MLP(nn.Module):
    """Dense layers on flattened examples; a hidden layer is Dense, norm, activation, dropout, and the last Dense alone.

    Attributes:
        features: units of each layer, the last one's among them.
        activation: of the hidden layers.
        activate_last: treats the last layer as a hidden one.
        dropout_rate: share of the units that training sets to zero.
        norm: of the hidden layers; None for none.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: tuple[int, ...]
    activation: Activation = nn.relu
    activate_last: bool = False
    dropout_rate: float = 0.0
    norm: Norm | None = None
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."], *, train: bool, penultimate: bool = False
    ) -> Float[Array, "batch width"]:
        """The last layer's output, or with `penultimate` what goes into the last layer; float32.

        Dropout draws from the rng stream "dropout".
        """
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = x.reshape(len(x), -1)
        for i, units in enumerate(self.features, start=1):
            is_last = i == len(self.features)
            if is_last and penultimate:
                break
            x = nn.Dense(units, **settings)(x)
            if is_last and not self.activate_last:
                break
            if self.norm:
                x = self.norm(dtype=self.dtype)(x, train=train)
            x = nn.Dropout(self.dropout_rate)(self.activation(x), deterministic=not train)
        return x.astype(jnp.float32)
