"""Residual generator and critic: Gulrajani et al. 2017 (arXiv:1704.00028), appendix F; Miyato et al. 2018, appendix B.

The defaults are Gulrajani's networks for 32x32 images. Others:

    SNGAN, 32x32:    ResNetGenerator(start=(4, 4, 256), features=(256,) * 3)
                     ResNetCritic(pool="sum", spectral=True)
    SNGAN, 64x64:    ResNetGenerator(start=(4, 4, 1024), features=(512, 256, 128, 64))
                     ResNetCritic(features=(64, 128, 256, 512, 1024), halvings=5, pool="sum", spectral=True)
    Gulrajani, 64x64: ResNetGenerator(start=(4, 4, 512), features=(512, 256, 128, 64))
                     ResNetCritic(stem=64, features=(128, 256, 512, 512), halvings=4, pool="flatten",
                                  image_norm=partial(LayerNorm, axes=(-3, -2, -1)))

A text's code adds to the output of every block the input of the first one; here each block adds its own.
"""

from __future__ import annotations

import math
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.normalisation import BatchNorm, Norm
from gdl_jax.layers.resampling import UpConv, upsample_nearest
from gdl_jax.layers.spectral_norm import SpectralConv, SpectralDense

he_mean_fan: Initializer = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
"""Uniform with variance 4 / (fan_in + fan_out): the convolutions in the blocks, in Gulrajani's code as in Miyato's.

The former calls it He's, whose variance is 2 / fan_in; the latter Glorot's, times sqrt(2).
"""


def mean_pool(x: Float[Array, "batch height width channels"]) -> Float[Array, "batch half_height half_width channels"]:
    """The mean of 2x2 pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


class UpBlock(nn.Module):
    """Norm, ReLU, up-sampling and convolution, norm, ReLU, convolution; beside it up-sampling and a 1x1 convolution.

    Attributes:
        features: channels of the result.
        norm: `BatchNorm`, or `ConditionalBatchNorm` with labels.
        block_init: initial kernels of the 3x3 convolutions.
        kernel_init: of the 1x1 convolution.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: int
    norm: Norm = BatchNorm
    block_init: Initializer = he_mean_fan
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width in"], *labels: Int[Array, " batch"], train: bool
    ) -> Float[Array, "batch 2*height 2*width {self.features}"]:
        """Applies the block."""
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = nn.relu(self.norm(dtype=self.dtype)(x, *labels, train=train))
        y = UpConv(self.features, 3, upsampling="nearest", kernel_init=self.block_init, **dtypes)(y)
        y = nn.relu(self.norm(dtype=self.dtype)(y, *labels, train=train))
        y = Conv(self.features, (3, 3), kernel_init=self.block_init, **dtypes)(y)
        # A 1x1 convolution of equal pixels: the small image will do.
        shortcut = Conv(self.features, (1, 1), kernel_init=self.kernel_init, **dtypes)(x)
        return y + upsample_nearest(shortcut)


class DownBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, mean of 2x2; beside it mean of 2x2 and a 1x1 convolution.

    Without halving and with as many channels as before, what is beside it is the input.

    Attributes:
        features: channels of the result.
        halve: takes the means of 2x2 pixels.
        first: of the image itself: no ReLU in front, and as wide between the convolutions as at the end.
        image_norm: of each image alone (`LayerNorm`), in front of both ReLUs; the first convolution then has no bias.
        spectral: divides every kernel by its largest singular value.
        block_init: initial kernels of the 3x3 convolutions.
        kernel_init: of the 1x1 convolution.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: int
    halve: bool
    first: bool = False
    image_norm: Norm | None = None
    spectral: bool = False
    block_init: Initializer = he_mean_fan
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width in"]
    ) -> Float[Array, "batch out_height out_width {self.features}"]:
        """Applies the block."""
        conv = SpectralConv if self.spectral else Conv
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        hidden = self.features if self.first else x.shape[-1]
        y = x if self.first else nn.relu(self._normalised(x))
        y = conv(hidden, (3, 3), kernel_init=self.block_init, use_bias=self.image_norm is None, **dtypes)(y)
        y = nn.relu(self._normalised(y))
        y = conv(self.features, (3, 3), kernel_init=self.block_init, **dtypes)(y)
        if self.halve:
            x, y = mean_pool(x), mean_pool(y)
        if self.halve or x.shape[-1] != self.features:
            x = conv(self.features, (1, 1), kernel_init=self.kernel_init, **dtypes)(x)
        return y + x.astype(y.dtype)

    def _normalised(self, x: Array) -> Array:
        return x if self.image_norm is None else self.image_norm(dtype=self.dtype)(x)


class ResNetGenerator(nn.Module):
    """Latent vector -> projection to a small image -> blocks that double it -> norm, ReLU, convolution.

    Where the norms of the blocks are conditional the last one is not: both authors' codes leave the labels out there.

    Attributes:
        start: height, width, channels of the projection.
        features: channels after each block.
        channels: of the image.
        norm: of the blocks; see `UpBlock`.
        last_norm: after the blocks, without labels.
        block_init: initial kernels of the blocks' 3x3 convolutions.
        kernel_init: of projection, 1x1 convolutions and last convolution.
        output: what the last convolution ends in.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    start: tuple[int, int, int] = (4, 4, 128)
    features: tuple[int, ...] = (128, 128, 128)
    channels: int = 3
    norm: Norm = BatchNorm
    last_norm: Norm = BatchNorm
    block_init: Initializer = he_mean_fan
    kernel_init: Initializer = glorot_uniform
    output: Activation = jnp.tanh
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *labels: Int[Array, " batch"], train: bool
    ) -> Float[Array, "batch height width {self.channels}"]:
        """Images, float32, in [-1, 1] where the output is tanh; with labels where the norm is conditional."""
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = nn.Dense(math.prod(self.start), kernel_init=self.kernel_init, **dtypes)(z).reshape(-1, *self.start)
        for features in self.features:
            block = UpBlock(features, self.norm, block_init=self.block_init, kernel_init=self.kernel_init, **dtypes)
            x = block(x, *labels, train=train)
        x = nn.relu(self.last_norm(dtype=self.dtype)(x, train=train))
        x = Conv(self.channels, (3, 3), kernel_init=self.kernel_init, **dtypes)(x)
        return self.output(x.astype(jnp.float32))


class ResNetCritic(nn.Module):
    """Image -> blocks, of which the first ones halve it -> ReLU, one number per channel -> one logit.

    Attributes:
        features: channels after each block.
        halvings: how many of the blocks, from the first on, halve the image.
        stem: channels of a convolution before the blocks, which then are all alike; 0 for none.
        pool: over the last image: "mean" (Gulrajani at 32x32), "sum" (Miyato), or "flatten", which keeps every pixel
            and has no ReLU in front (Gulrajani at 64x64).
        image_norm: see `DownBlock`.
        spectral: divides every kernel by its largest singular value.
        block_init: initial kernels of the blocks' 3x3 convolutions.
        kernel_init: of all others.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    features: tuple[int, ...] = (128, 128, 128, 128)
    halvings: int = 2
    stem: int = 0
    pool: Literal["mean", "sum", "flatten"] = "mean"
    image_norm: Norm | None = None
    spectral: bool = False
    block_init: Initializer = he_mean_fan
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, penultimate: bool = False
    ) -> Float[Array, " batch"] | Float[Array, "batch units"]:
        """Logits, or with `penultimate` what goes into the last layer; float32."""
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv, dense = (SpectralConv, SpectralDense) if self.spectral else (Conv, nn.Dense)
        if self.stem:
            x = conv(self.stem, (3, 3), kernel_init=self.kernel_init, **dtypes)(x)
        for i, features in enumerate(self.features):
            block = DownBlock(
                features,
                halve=i < self.halvings,
                first=i == 0 and not self.stem,
                image_norm=self.image_norm,
                spectral=self.spectral,
                block_init=self.block_init,
                kernel_init=self.kernel_init,
                **dtypes,
            )
            x = block(x)
        if self.pool == "flatten":
            x = x.reshape(len(x), -1)
        else:
            x = nn.relu(x).astype(jnp.float32)
            x = x.mean(axis=(1, 2)) if self.pool == "mean" else x.sum(axis=(1, 2))
        if penultimate:
            return x.astype(jnp.float32)
        return dense(1, kernel_init=self.kernel_init, **dtypes)(x).astype(jnp.float32)[:, 0]
