"""Encoder with max-pooling and decoder with unpooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gdl_jax.layers.activations import Activation
from gdl_jax.layers.convolution import Conv, ConvTranspose
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.resampling import upsample_nearest

Unpooling = Literal["repeat", "corner", "switch"]
"""A pooled value goes to all four pixels, to the upper left one, or to where the maximum was."""

Switches = Int[Array, "_batch _height _width _channels"]
"""Where the maximum of each 2x2 window was: 0 upper left, 1 upper right, 2 lower left, 3 lower right."""


class PoolingEncoder(nn.Module):
    """Image -> blocks of 3x3 convolution, activation, 2x2 max-pooling -> code.

    Attributes:
        latent: size of the code, by a Dense layer; None: the last block's output, flattened.
        features: channels after each block.
        return_switches: adds those of each block to what is returned; see `unpool`.
        activation: of the blocks.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    latent: int | None = 32
    features: tuple[int, ...] = (16, 8)
    return_switches: bool = False
    activation: Activation = nn.relu
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> tuple[Float[Array, "batch latent"], *tuple[Switches, ...]]:
        """(code,), float32, or (code, switches of the first block, of the second ...)."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        switches = []
        for features in self.features:
            x, where = max_pool(self.activation(Conv(features, (3, 3), **settings)(x)))
            switches.append(where)
        x = x.reshape(len(x), -1)
        if self.latent is not None:
            x = nn.Dense(self.latent, **settings)(x)
        return (x.astype(jnp.float32), *(switches if self.return_switches else ()))


class UnpoolingDecoder(nn.Module):
    """Code -> projection to a small image -> blocks of 3x3 transposed convolution, activation, unpooling -> image.

    The last block is the transposed convolution alone.

    Attributes:
        start: height, width, channels of the projection.
        features: channels after each block; the last is the number of colours.
        unpooling: how an image is enlarged.
        activation: of the projection and the blocks.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    start: tuple[int, int, int] = (7, 7, 8)
    features: tuple[int, ...] = (8, 16, 1)
    unpooling: Unpooling = "repeat"
    activation: Activation = nn.relu
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], *switches: Switches, train: bool
    ) -> Float[Array, "batch height width {self.features[-1]}"]:
        """Logits or means, float32, unbounded. The switches are the encoder's, with "switch" alone."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.activation(nn.Dense(math.prod(self.start), **settings)(z)).reshape(-1, *self.start)
        *hidden, last = self.features
        backwards: Sequence[Switches | None] = switches[::-1] if self.unpooling == "switch" else [None] * len(hidden)
        for features, where in zip(hidden, backwards, strict=True):
            x = self.activation(ConvTranspose(features, (3, 3), **settings)(x))
            x = unpool(x, self.unpooling, where)
        return ConvTranspose(last, (3, 3), **settings)(x).astype(jnp.float32)


def max_pool(
    x: Float[Array, "batch height width channels"],
) -> tuple[Float[Array, "batch height//2 width//2 channels"], Switches]:
    """The maximum of each 2x2 window, and where it was (the first of equal ones)."""
    batch, height, width, channels = x.shape
    windows = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 5, 2, 4)
    windows = windows.reshape(*windows.shape[:4], 4)
    where = windows.argmax(axis=-1)
    return jnp.take_along_axis(windows, where[..., None], axis=-1)[..., 0], where


def unpool(
    x: Float[Array, "batch height width channels"], unpooling: Unpooling, switches: Switches | None = None
) -> Float[Array, "batch 2*height 2*width channels"]:
    """Twice the size, as the inverse of max-pooling by 2x2 may be approximated; pixels not written are 0.

    Args:
        x: pooled image.
        unpooling: where a value goes; see `Unpooling`.
        switches: of `max_pool`, with "switch" alone (Zeiler and Fergus 2014, section 2.1).

    Raises:
        ValueError: "switch" without switches, or with those of another shape.
    """
    if unpooling == "repeat":
        return upsample_nearest(x)
    if unpooling == "corner":
        switches = jnp.zeros(x.shape, jnp.int32)
    if switches is None or switches.shape != x.shape:
        raise ValueError(f"Unpooling by switches needs a switch per value of {x.shape}, not {switches}.")
    batch, height, width, channels = x.shape
    windows = x[..., None] * jax.nn.one_hot(switches, 4, dtype=x.dtype)
    windows = windows.reshape(batch, height, width, channels, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return windows.reshape(batch, 2 * height, 2 * width, channels)
