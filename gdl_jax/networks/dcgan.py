"""Convolutional generator and discriminator, described by lists: Radford et al. 2016 (DCGAN) and its relatives.

One entry of the lists is one block. The defaults make and judge 28x28x1 images; for another size s that four divides,
start at (s // 4, s // 4, 128). The published 64x64 network (section 4; kernels 5 in the figure, 4 in the authors'
code):

    Generator(start=(4, 4, 1024), features=(512, 256, 128, 3), kernels=(5,) * 4, strides=(2,) * 4)
    Discriminator(features=(128, 256, 512, 1024), kernels=(5,) * 4, strides=(2,) * 4)
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
from gdl_jax.layers.initializers import Initializer, normal002, scale002
from gdl_jax.layers.minibatch import MinibatchDiscrimination
from gdl_jax.layers.normalisation import BatchNorm, Norm
from gdl_jax.layers.resampling import UpConv, Upsampling
from gdl_jax.layers.spectral_norm import SpectralConv, SpectralDense

Downsampling = Literal["strided", "max_pool", "average_pool"]

leaky_relu: Activation = partial(nn.leaky_relu, negative_slope=0.2)
batch_norm: Norm = partial(BatchNorm, scale_init=scale002)


class Generator(nn.Module):
    """Latent vector -> projection to a small image -> blocks that enlarge it -> tanh.

    A block is up-convolution, norm, activation, dropout; the last has no norm and ends in `output`, as the projection
    has no convolution.

    Attributes:
        start: height, width, channels of the projection.
        features: channels after each block; the last is the number of colours.
        kernels: side of the square kernel of each block.
        strides: by how much each block enlarges the image.
        upsampling: how; see `UpConv`.
        norm: of the hidden blocks; None for none.
        start_norm: of the projection, after it has become an image, so that statistics are per channel.
        activation: of the hidden blocks.
        start_activation: of the projection; None for none.
        dropout_rate: share of the hidden blocks' units that training sets to zero.
        use_bias: of projection and convolutions.
        kernel_init: initial kernels of the convolutions.
        start_init: initial kernel of the projection.
        output: what the last block ends in.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    start: tuple[int, int, int] = (7, 7, 128)
    features: tuple[int, ...] = (64, 1)
    kernels: tuple[int, ...] = (4, 4)
    strides: tuple[int, ...] = (2, 2)
    upsampling: Upsampling = "transposed"
    norm: Norm | None = batch_norm
    start_norm: Norm | None = batch_norm
    activation: Activation = nn.relu
    start_activation: Activation | None = nn.relu
    dropout_rate: float = 0.0
    use_bias: bool = True
    kernel_init: Initializer = normal002
    start_init: Initializer = normal002
    output: Activation = jnp.tanh
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *, train: bool
    ) -> Float[Array, "batch height width {self.features[-1]}"]:
        """Images, float32; in [-1, 1] where the output is tanh. Dropout draws from the rng stream "dropout"."""
        settings = {"use_bias": self.use_bias, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = nn.Dense(math.prod(self.start), kernel_init=self.start_init, **settings)(z)
        x = x.reshape(-1, *self.start)
        if self.start_norm:
            x = self.start_norm(dtype=self.dtype)(x, train=train)
        if self.start_activation:
            x = self.start_activation(x)

        settings |= {"kernel_init": self.kernel_init, "upsampling": self.upsampling}
        blocks = zip(self.features, self.kernels, self.strides, strict=True)
        for i, (features, kernel, strides) in enumerate(blocks, start=1):
            x = UpConv(features, kernel, strides, **settings)(x)
            if i < len(self.features):
                if self.norm:
                    x = self.norm(dtype=self.dtype)(x, train=train)
                x = nn.Dropout(self.dropout_rate)(self.activation(x), deterministic=not train)
        return self.output(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Image -> blocks that shrink it -> one logit.

    A block is convolution, norm, activation, dropout; the first has no norm. The last layer is a Dense on all units of
    the last image: the valid convolution over the whole image in the authors' code is the same function.

    Attributes:
        features: channels after each block.
        kernels: side of the square kernel of each block.
        strides: by how much each block shrinks the image.
        padding: of every convolution. 1 for PyTorch's networks with kernel 3 and stride 2, to which SAME is not equal.
        norm: of every block but the first; None for none.
        norm_last: norm after activation and dropout instead of before them (Lanham).
        activation: of every block.
        dropout_rate: share of the units (with `dropout_channels` of the channels) that training sets to zero.
        dropout_channels: drop whole channels (PyTorch's Dropout2d).
        last_dropout_rate: share of the units before the last layer that training sets to zero.
        downsampling: how images shrink: by strided convolutions, or by pools of that side after the activation, behind
            convolutions with stride 1.
        minibatch_features: of a `MinibatchDiscrimination` before the last layer; 0 for none.
        spectral: divides every kernel by its largest singular value; see `spectral_norm`.
        use_bias: of convolutions and last layer.
        kernel_init: initial kernels.
        last_init: of the last layer; None for `kernel_init`.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: tuple[int, ...] = (64, 128)
    kernels: tuple[int, ...] = (4, 4)
    strides: tuple[int, ...] = (2, 2)
    padding: Padding = "SAME"
    norm: Norm | None = batch_norm
    norm_last: bool = False
    activation: Activation = leaky_relu
    dropout_rate: float = 0.0
    dropout_channels: bool = False
    last_dropout_rate: float = 0.0
    downsampling: Downsampling = "strided"
    minibatch_features: int = 0
    spectral: bool = False
    use_bias: bool = True
    kernel_init: Initializer = normal002
    last_init: Initializer | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, penultimate: bool = False
    ) -> Float[Array, " batch"] | Float[Array, "batch units"]:
        """Logits, or with `penultimate` what goes into the last layer; float32.

        Dropout draws from the rng stream "dropout".
        """
        settings = {
            "use_bias": self.use_bias,
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        conv, dense = (SpectralConv, SpectralDense) if self.spectral else (Conv, nn.Dense)
        dropout = nn.Dropout(self.dropout_rate, broadcast_dims=(1, 2) if self.dropout_channels else ())
        blocks = zip(self.features, self.kernels, self.strides, strict=True)
        for i, (features, kernel, stride) in enumerate(blocks):
            strided = stride if self.downsampling == "strided" else 1
            x = conv(features, (kernel, kernel), strided, self.padding, **settings)(x)
            norm = self.norm(dtype=self.dtype) if self.norm and i > 0 else None
            if norm and not self.norm_last:
                x = norm(x, train=train)
            x = dropout(_pooled(self.activation(x), stride // strided, self.downsampling), deterministic=not train)
            if norm and self.norm_last:
                x = norm(x, train=train)
        x = nn.Dropout(self.last_dropout_rate)(x.reshape(len(x), -1), deterministic=not train)
        if self.minibatch_features:
            x = MinibatchDiscrimination(self.minibatch_features, dtype=self.dtype, param_dtype=self.param_dtype)(x)
        if penultimate:
            return x.astype(jnp.float32)
        return dense(1, **settings | {"kernel_init": self.last_init or self.kernel_init})(x).astype(jnp.float32)[:, 0]


def _pooled(
    x: Float[Array, "batch height width channels"], side: int, downsampling: Downsampling
) -> Float[Array, "batch _height _width channels"]:
    """One number of every square of so many pixels; at the lower and right edge of what there is of it."""
    if side == 1:
        return x
    window = {"window_shape": (side, side), "strides": (side, side), "padding": "SAME"}
    return nn.max_pool(x, **window) if downsampling == "max_pool" else nn.avg_pool(x, **window, count_include_pad=False)
