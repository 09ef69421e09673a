"""Generator and discriminator without convolutions: Goodfellow et al. 2014, with today's activations."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.initializers import Initializer, torch_uniform
from gdl_jax.layers.minibatch import MinibatchDiscrimination
from gdl_jax.layers.normalisation import Norm
from gdl_jax.layers.spectral_norm import SpectralDense
from gdl_jax.networks.dcgan import leaky_relu


class DenseGenerator(nn.Module):
    """Latent vector -> dense layers -> image.

    A hidden layer is Dense, norm, activation, dropout; the first has no norm.

    Attributes:
        image_shape: height, width, channels.
        features: units of the hidden layers.
        norm: of every hidden layer but the first; None for none.
        activation: of the hidden layers.
        dropout_rate: share of their units that training sets to zero.
        kernel_init: initial kernels.
        output: what the last layer ends in.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    image_shape: tuple[int, int, int]
    features: tuple[int, ...] = (256, 512, 1024)
    norm: Norm | None = None
    activation: Activation = leaky_relu
    dropout_rate: float = 0.0
    kernel_init: Initializer = torch_uniform
    output: Activation = jnp.tanh
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], *, train: bool) -> Float[Array, "batch height width channels"]:
        """Images, float32; in [-1, 1] where the output is tanh. Dropout draws from the rng stream "dropout"."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = z
        for i, units in enumerate(self.features):
            x = nn.Dense(units, **settings)(x)
            if self.norm and i > 0:
                x = self.norm(dtype=self.dtype)(x, train=train)
            x = nn.Dropout(self.dropout_rate)(self.activation(x), deterministic=not train)
        x = nn.Dense(math.prod(self.image_shape), **settings)(x)
        return self.output(x.astype(jnp.float32)).reshape(-1, *self.image_shape)


class DenseDiscriminator(nn.Module):
    """Anything with a batch axis -> dense layers -> one logit.

    A hidden layer is Dense, norm, activation, dropout; the first has no norm.

    Attributes:
        features: units of the hidden layers.
        dropout_rates: of each of them; () for none.
        norm: of every hidden layer but the first; None for none.
        activation: of the hidden layers.
        minibatch_features: of a `MinibatchDiscrimination` before the last layer; 0 for none.
        spectral: divides every kernel by its largest singular value; see `spectral_norm`.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: tuple[int, ...] = (512, 256)
    dropout_rates: tuple[float, ...] = ()
    norm: Norm | None = None
    activation: Activation = leaky_relu
    minibatch_features: int = 0
    spectral: bool = False
    kernel_init: Initializer = torch_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."], *, train: bool, penultimate: bool = False
    ) -> Float[Array, " batch"] | Float[Array, "batch units"]:
        """Logits, or with `penultimate` what goes into the last layer; float32.

        Dropout draws from the rng stream "dropout".
        """
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        dense = SpectralDense if self.spectral else nn.Dense
        x = x.reshape(len(x), -1)
        rates = self.dropout_rates or (0.0,) * len(self.features)
        for i, (units, rate) in enumerate(zip(self.features, rates, strict=True)):
            x = dense(units, kernel_init=self.kernel_init, **dtypes)(x)
            if self.norm and i > 0:
                x = self.norm(dtype=self.dtype)(x, train=train)
            x = nn.Dropout(rate)(self.activation(x), deterministic=not train)
        if self.minibatch_features:
            x = MinibatchDiscrimination(self.minibatch_features, **dtypes)(x)
        if penultimate:
            return x.astype(jnp.float32)
        return dense(1, kernel_init=self.kernel_init, **dtypes)(x).astype(jnp.float32)[:, 0]
