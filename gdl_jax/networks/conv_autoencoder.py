"""Convolutional encoder and decoder, described by lists, for autoencoders and VAEs.

One entry of the lists is one block. The defaults are the mirrored pair of Foster's chapter 3 for 28x28x1 images.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.convolution import Conv, Padding
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.normalisation import BatchNorm, Norm
from gdl_jax.layers.resampling import UpConv, Upsampling, upsample_nearest

leaky_relu: Activation = partial(nn.leaky_relu, negative_slope=0.3)
"""Keras' slope, which Foster's chapter 3 uses."""

batch_norm: Norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
"""Keras' batch norm, which Foster's chapter 3 uses where it uses any."""


class ConvEncoder(nn.Module):
    """Image -> blocks that shrink it -> one code vector per head.

    A block is convolution, norm, activation, dropout. Two heads are the mean and the log-variance of a Gaussian
    posterior with diagonal covariance (Kingma and Welling 2014, appendix C.2); one head is an autoencoder's code.

    Attributes:
        latent: size of a code.
        heads: number of codes, each a Dense layer of its own.
        features: channels after each block.
        kernels: side of the square kernel of each block.
        strides: stride of each block.
        padding: of every convolution.
        hidden: sizes of Dense layers with activation between the blocks and the heads.
        norm: of every block; None for none.
        activation: of blocks and hidden layers.
        activate_last: else the last block ends with its norm.
        dropout_rate: share of the units that training sets to zero.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    latent: int = 2
    heads: int = 2
    features: tuple[int, ...] = (32, 64, 64, 64)
    kernels: tuple[int, ...] = (3, 3, 3, 3)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    padding: Padding = "SAME"
    hidden: tuple[int, ...] = ()
    norm: Norm | None = None
    activation: Activation = leaky_relu
    activate_last: bool = True
    dropout_rate: float = 0.0
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch {self.latent}"], ...]:
        """(mean, log_variance), or (code,) with one head; float32. Dropout draws from the rng stream "dropout"."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        blocks = zip(self.features, self.kernels, self.strides, strict=True)
        for i, (features, kernel, strides) in enumerate(blocks, start=1):
            x = Conv(features, (kernel, kernel), strides, self.padding, **settings)(x)
            if self.norm:
                x = self.norm(dtype=self.dtype)(x, train=train)
            if i < len(self.features) or self.activate_last:
                x = self.activation(x)
            x = nn.Dropout(self.dropout_rate)(x, deterministic=not train)
        x = x.reshape(len(x), -1)
        for size in self.hidden:
            x = self.activation(nn.Dense(size, **settings)(x))
        return tuple(nn.Dense(self.latent, **settings)(x).astype(jnp.float32) for _ in range(self.heads))


class ConvDecoder(nn.Module):
    """Code vector -> projection to a small image -> blocks that enlarge it.

    A block is up-convolution, norm, activation, dropout; the last is the up-convolution alone, since the likelihood
    says how its result is read: a Bernoulli takes it for logits, a Gaussian (after a sigmoid, if the text has one) for
    the mean.

    Attributes:
        start: height, width, channels of the projection.
        features: channels after each block; the last is the number of colours.
        kernels: side of the square kernel of each block.
        strides: by how much each block enlarges the image.
        upsampling: how; see `UpConv`.
        padding: of every convolution; "EDGE" repeats the image's border, with nearest up-sampling and odd kernels.
        norm: of the hidden blocks; None for none.
        activation: of the hidden blocks.
        start_activation: of the projection; None for none.
        project: by a Dense layer; else the code is the small image, flattened.
        dropout_rate: share of the units that training sets to zero.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    start: tuple[int, int, int] = (7, 7, 64)
    features: tuple[int, ...] = (64, 64, 32, 1)
    kernels: tuple[int, ...] = (3, 3, 3, 3)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    upsampling: Upsampling = "transposed"
    padding: Padding | Literal["EDGE"] = "SAME"
    norm: Norm | None = None
    activation: Activation = leaky_relu
    start_activation: Activation | None = None
    project: bool = True
    dropout_rate: float = 0.0
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *, train: bool
    ) -> Float[Array, "batch height width {self.features[-1]}"]:
        """Logits or means, float32, unbounded. Dropout draws from the rng stream "dropout"."""
        if self.padding == "EDGE" and self.upsampling != "nearest":
            raise ValueError(f"The border is repeated with nearest up-sampling, not with {self.upsampling!r}.")
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = nn.Dense(math.prod(self.start), **settings)(z) if self.project else z
        x = x.reshape(-1, *self.start)
        if self.start_activation:
            x = self.start_activation(x)

        blocks = zip(self.features, self.kernels, self.strides, strict=True)
        for i, (features, kernel, strides) in enumerate(blocks, start=1):
            if self.padding == "EDGE":
                x = pad_edge(upsample_nearest(x) if strides == 2 else x, kernel // 2)
                x = Conv(features, (kernel, kernel), padding="VALID", **settings)(x)
            else:
                x = UpConv(features, kernel, strides, self.upsampling, self.padding, **settings)(x)
            if i < len(self.features):
                if self.norm:
                    x = self.norm(dtype=self.dtype)(x, train=train)
                x = nn.Dropout(self.dropout_rate)(self.activation(x), deterministic=not train)
        return x.astype(jnp.float32)


def pad_edge(
    x: Float[Array, "batch height width channels"], width: int
) -> Float[Array, "batch padded_height padded_width channels"]:
    """Repeats the outermost rows and columns `width` times (PyTorch's ReplicationPad2d)."""
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode="edge")


class WithScale(nn.Module):
    """A decoder, and beside its outputs one learned number per channel: the log-scale that all pixels share.

    Attributes:
        decoder: (latents, train) -> outputs.
        initial: the scale at the beginning.
    """

    decoder: nn.Module
    initial: float = 0.3

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *, train: bool
    ) -> Float[Array, "batch height width twice_the_channels"]:
        """The outputs, then the log-scales, along the last axis."""
        x = self.decoder(z, train=train)
        log_scale = self.param("log_scale", nn.initializers.constant(math.log(self.initial)), x.shape[-1:])
        return jnp.concatenate([x, jnp.broadcast_to(log_scale, x.shape)], axis=-1)
