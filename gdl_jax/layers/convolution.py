"""Convolution and transposed convolution: the only file that calls lax's convolutions.

Three functions, `conv`, `conv_transpose` and `kernel_gradient`, are all that is ever lowered: each is linear in both of
its arguments, and its derivatives are the other two. So derivatives of every order (gradient penalties, path length)
run through the same three lowerings.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.initializers import Initializer, glorot_uniform

Padding = Literal["SAME", "VALID"] | int | tuple[tuple[int, int], ...]
"""SAME and VALID as in TensorFlow, n (n zeros on every side, as in PyTorch), or (before, after) per axis."""


class Geometry(NamedTuple):
    """A convolution from an image of `size` to one of `output_size`: one entry per spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def output_size(self) -> tuple[int, ...]:
        """floor((size + padding - kernel) / stride) + 1."""
        sizes = zip(self.size, self.kernel, self.strides, self.padding, strict=True)
        return tuple((n + sum(pad) - k) // s + 1 for n, k, s, pad in sizes)


def explicit_padding(
    padding: Padding, size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Padding as (before, after) per axis; SAME makes ceil(size / stride) outputs and puts a surplus zero after."""
    if padding == "VALID":
        return ((0, 0),) * len(size)
    if padding == "SAME":
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, strides, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, int):
        return ((padding, padding),) * len(size)
    return padding


# The three functions -------------------------------------------------------------------------------------------------


def layout(rank: int) -> lax.ConvDimensionNumbers:
    """(batch, *space, channels), (*space, in, out)."""
    space = tuple(range(1, rank - 1))
    image = (0, rank - 1, *space)
    return lax.ConvDimensionNumbers(image, (rank - 1, rank - 2, *range(rank - 2)), image)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(
    geometry: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """y[p] = sum over a of x[stride p + a - before] k[a]."""
    return lax.conv_general_dilated(x, k, geometry.strides, geometry.padding, dimension_numbers=layout(x.ndim))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv_transpose(
    geometry: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *size in"]:
    """The input gradient of `conv`: x[q] = sum over a and p with stride p + a - before = q of y[p] k[a]."""
    flipped = jnp.flip(k, range(k.ndim - 2)).swapaxes(-1, -2)
    sizes = zip(*geometry, geometry.output_size, strict=True)
    padding = [(a - 1 - before, n - (m - 1) * s - 1 + before) for n, a, s, (before, _), m in sizes]
    return lax.conv_general_dilated(
        y, flipped, (1,) * (y.ndim - 2), padding, lhs_dilation=geometry.strides, dimension_numbers=layout(y.ndim)
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_gradient(
    geometry: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in out"]:
    """The kernel gradient of `conv`: k[a] = sum over p and the batch of x[stride p + a - before] y[p].

    Written with explicit transposes (channels as batch, y dilated as kernel) because lax's own form runs about a
    hundred times slower on CPU when it comes from a transposed convolution or stands inside `scan`.
    """
    sizes = zip(*geometry, geometry.output_size, strict=True)
    padding = [(before, a - n - before + (m - 1) * s) for n, a, s, (before, _), m in sizes]
    slopes = lax.conv_general_dilated(
        x.swapaxes(0, -1), jnp.moveaxis(y, 0, -2), (1,) * (x.ndim - 2), padding,
        rhs_dilation=geometry.strides, dimension_numbers=layout(x.ndim),
    )  # fmt: skip
    return jnp.moveaxis(slopes, 0, -2)


conv.defvjp(
    lambda geometry, x, k: (conv(geometry, x, k), (x, k)),
    lambda geometry, xk, g: (conv_transpose(geometry, g, xk[1]), kernel_gradient(geometry, xk[0], g)),
)
conv_transpose.defvjp(
    lambda geometry, y, k: (conv_transpose(geometry, y, k), (y, k)),
    lambda geometry, yk, g: (conv(geometry, g, yk[1]), kernel_gradient(geometry, g, yk[0])),
)
kernel_gradient.defvjp(
    lambda geometry, x, y: (kernel_gradient(geometry, x, y), (x, y)),
    lambda geometry, xy, g: (conv_transpose(geometry, xy[1], g), conv(geometry, xy[0], g)),
)


# The layers ----------------------------------------------------------------------------------------------------------


class Conv(nn.Module):
    """Convolution (cross-correlation, as everywhere in deep learning).

    The size of the result: SAME, ceil(n / stride); else floor((n + padding - kernel) / stride) + 1.

    Attributes:
        features: channels of the result.
        kernel: kernel size per spatial axis.
        strides: stride of every axis.
        padding: see `Padding`. For an odd kernel with stride 2, SAME and PyTorch's symmetric padding give other
            numbers.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel (*kernel, in, out).
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: tuple[int, ...]
    strides: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch *size in"]) -> Float[Array, "batch *output {self.features}"]:
        """Applies the convolution."""
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype).astype(self.dtype)
        size, strides = x.shape[1:-1], (self.strides,) * len(self.kernel)
        geometry = Geometry(size, self.kernel, strides, explicit_padding(self.padding, size, self.kernel, strides))
        return add_bias(self, conv(geometry, x.astype(self.dtype), kernel))


class ConvTranspose(nn.Module):
    """The transpose of `Conv` with the same kernel, stride and padding, from the small image to the large one.

    The size of the result: SAME, stride n; VALID and PyTorch's padding p, (n - 1) stride + kernel - 2 p. Alignment as
    in Keras and PyTorch: stride 2 doubles, and pixel i reaches 2i - 1 ... 2i + 2 with kernel 4 (PyTorch's padding 1 is
    the same), 2i ... 2i + 2 with kernel 3, 2i - 1 ... 2i + 3 with kernel 5.

    Attributes:
        features: channels of the result.
        kernel: kernel size per spatial axis.
        strides: stride of every axis.
        padding: see `Padding`.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel, stored (*kernel, out, in) as in Keras: the kernel of the convolution that it
            transposes.
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: tuple[int, ...]
    strides: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, y: Float[Array, "batch *size in"]) -> Float[Array, "batch *output {self.features}"]:
        """Applies the transposed convolution."""
        shape = (*self.kernel, self.features, y.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype).astype(self.dtype)
        strides = (self.strides,) * len(self.kernel)
        if self.padding == "SAME":
            size = tuple(m * s for m, s in zip(y.shape[1:-1], strides, strict=True))
            padding = explicit_padding("SAME", size, self.kernel, strides)
        else:
            padding = explicit_padding(self.padding, y.shape[1:-1], self.kernel, strides)
            sizes = zip(y.shape[1:-1], self.kernel, strides, padding, strict=True)
            size = tuple((m - 1) * s + k - sum(pad) for m, k, s, pad in sizes)
        geometry = Geometry(size, self.kernel, strides, padding)
        return add_bias(self, conv_transpose(geometry, y.astype(self.dtype), kernel))


def add_bias(layer: Conv | ConvTranspose, y: Float[Array, "batch *size out"]) -> Float[Array, "batch *size out"]:
    """Adds the layer's bias, one number per channel."""
    if not layer.use_bias:
        return y
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), layer.param_dtype).astype(layer.dtype)
    return y + bias.reshape((1,) * (y.ndim - 1) + (-1,))
