"""Convolution and transposed convolution as layers, in one, two and three dimensions."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.channels import spread
from gdl_jax.layers.geometry import Geometry
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.lowering import conv, conv_transpose

Padding = Literal["SAME", "VALID"] | int | tuple[tuple[int, int], ...]
"""SAME and VALID as in TensorFlow, n (n zeros on every side, as in PyTorch), or (before, after) per axis."""


def explicit_padding(
    padding: Padding, size: tuple[int, ...], extent: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Padding as (before, after) per axis; SAME makes ceil(size / stride) outputs and puts a surplus zero after."""
    if padding == "VALID":
        return ((0, 0),) * len(size)
    if padding == "SAME":
        totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(size, extent, strides, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, int):
        return ((padding, padding),) * len(size)
    return padding


class Conv(nn.Module):
    """Convolution (cross-correlation, as everywhere in deep learning).

    The size of the result: SAME, ceil(n / stride); else floor((n + padding - kernel) / stride) + 1.

    Attributes:
        features: channels of the result.
        kernel: kernel size per spatial axis.
        strides: stride of every axis, or of each.
        padding: see `Padding`. For an odd kernel with stride 2, SAME and PyTorch's symmetric padding give other
            numbers.
        dilation: steps between the pixels that neighbouring entries of the kernel see, on every axis.
        groups: into how many parts the channels fall that do not see each other.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel (*kernel, in / groups, out).
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch *size in"]) -> Float[Array, "batch *output {self.features}"]:
        """Applies the convolution."""
        shape = (*self.kernel, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype).astype(self.dtype)
        return add_bias(self, self.convolve(x.astype(self.dtype), kernel))

    def convolve(
        self, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
    ) -> Float[Array, "batch *output out"]:
        """The convolution without its bias."""
        return conv(self.geometry(x.shape[1:-1]), x, k)

    def geometry(self, size: tuple[int, ...]) -> Geometry:
        """The convolution of an image of this size."""
        return _geometry(self, size)


class ConvTranspose(nn.Module):
    """The transpose of `Conv` with the same kernel, stride and padding, from the small image to the large one.

    The size of the result: SAME, stride n; VALID and PyTorch's padding p, (n - 1) stride + kernel - 2 p. Alignment as
    in Keras and PyTorch: stride 2 doubles, and pixel i reaches 2i - 1 ... 2i + 2 with kernel 4 (PyTorch's padding 1 is
    the same), 2i ... 2i + 2 with kernel 3, 2i - 1 ... 2i + 3 with kernel 5.

    Attributes:
        features: channels of the result.
        kernel: kernel size per spatial axis.
        strides: stride of every axis, or of each.
        padding: see `Padding`.
        dilation: steps between the pixels that neighbouring entries of the kernel see, on every axis.
        groups: into how many parts the channels fall that do not see each other.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel, stored (*kernel, out / groups, in) as in Keras: that of the convolution that it
            transposes.
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, y: Float[Array, "batch *size in"]) -> Float[Array, "batch *output {self.features}"]:
        """Applies the transposed convolution."""
        shape = (*self.kernel, self.features // self.groups, y.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype).astype(self.dtype)
        return add_bias(self, self.convolve(y.astype(self.dtype), kernel))

    def convolve(
        self, y: Float[Array, "batch *size in"], k: Float[Array, "*kernel out_per_group in"]
    ) -> Float[Array, "batch *output out"]:
        """The transposed convolution without its bias."""
        return conv_transpose(self.geometry(y.shape[1:-1]), y, k)

    def geometry(self, small: tuple[int, ...]) -> Geometry:
        """The convolution to an image of size `small` from the least size that it may come from."""
        if self.padding == "SAME":
            return _geometry(self, tuple(m * s for m, s in zip(small, _per_axis(self), strict=True)))
        reach = _geometry(self, small)
        sizes = zip(small, reach.strides, reach.extent, reach.padding, strict=True)
        return _geometry(self, tuple((m - 1) * s + e - sum(pad) for m, s, e, pad in sizes))


def _geometry(layer: Conv | ConvTranspose, size: tuple[int, ...]) -> Geometry:
    rank = len(layer.kernel)
    strides, dilation = _per_axis(layer), (layer.dilation,) * rank
    extent = tuple((a - 1) * layer.dilation + 1 for a in layer.kernel)
    padding = explicit_padding(layer.padding, size, extent, strides)
    return Geometry(size, layer.kernel, strides, padding, dilation, layer.groups)


def _per_axis(layer: Conv | ConvTranspose) -> tuple[int, ...]:
    return (layer.strides,) * len(layer.kernel) if isinstance(layer.strides, int) else layer.strides


def add_bias(layer: nn.Module, y: Float[Array, "batch *size out"]) -> Float[Array, "batch *size out"]:
    """Adds the bias, one number per channel, of a layer with the fields of `Conv`, or leaves it out as these say."""
    if not layer.use_bias:
        return y
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), layer.param_dtype).astype(layer.dtype)
    return y + spread(bias, y.shape, y.dtype)
