"""Convolutional classifier, described by a list of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.convolution import Conv, Padding
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.normalisation import Norm
from gdl_jax.networks.mlp import MLP


@dataclass(frozen=True)
class Block:
    """Convolution, norm, activation, max-pooling, dropout.

    Attributes:
        features: channels of the result.
        kernel: side of the square kernel.
        strides: of the convolution.
        pool: side and stride of the max-pooling; 1 for none.
        dropout_rate: share of the channels that training sets to zero.
    """

    features: int
    kernel: int = 3
    strides: int = 1
    pool: int = 1
    dropout_rate: float = 0.0


class CNN(nn.Module):
    """Image -> blocks -> Dense layers -> one logit per class.

    Attributes:
        num_classes: logits.
        blocks: what each block is.
        hidden: units of the Dense layers between blocks and logits; they have norm, activation and dropout.
        hidden_dropout_rate: share of the units that training sets to zero.
        padding: of every convolution.
        norm: of blocks and hidden layers; None for none.
        activation: of blocks and hidden layers; None for none.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    num_classes: int
    blocks: tuple[Block, ...]
    hidden: tuple[int, ...] = ()
    hidden_dropout_rate: float = 0.0
    padding: Padding = "SAME"
    norm: Norm | None = None
    activation: Activation | None = nn.relu
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, penultimate: bool = False
    ) -> Float[Array, "batch units"]:
        """Logits, or with `penultimate` what goes into the last layer; float32.

        Dropout draws from the rng stream "dropout".
        """
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        activation = self.activation or (lambda x: x)
        for block in self.blocks:
            x = Conv(block.features, (block.kernel, block.kernel), block.strides, self.padding, **settings)(x)
            if self.norm:
                x = self.norm(dtype=self.dtype)(x, train=train)
            x = activation(x)
            if block.pool > 1:
                x = nn.max_pool(x, (block.pool, block.pool), (block.pool, block.pool))
            x = nn.Dropout(block.dropout_rate, broadcast_dims=(1, 2))(x, deterministic=not train)
        dense = MLP(
            (*self.hidden, self.num_classes),
            activation,
            dropout_rate=self.hidden_dropout_rate,
            norm=self.norm,
            **settings,
        )
        return dense(x, train=train, penultimate=penultimate)
