"""Up-sampling by two, with and without parameters."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.convolution import Conv, ConvTranspose, Padding, add_bias
from gdl_jax.layers.geometry import Geometry
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.lowering import conv, conv_transpose

Upsampling = Literal["transposed", "nearest", "bilinear"]


def upsample_nearest(x: Float[Array, "batch height width channels"]) -> Float[Array, "batch 2*height 2*width channels"]:
    """Repeats every row and every column (Keras' UpSampling2D, PyTorch's Upsample)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_bilinear(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch 2*height 2*width channels"]:
    """Interpolates at a quarter and three quarters between pixels' centres, constant beyond the outer centres.

    The convention of TensorFlow 2 and of PyTorch's `align_corners=False`.
    """
    for axis in (1, 2):
        n = x.shape[axis]
        padded = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(4)], mode="edge")
        before, after = (lax.slice_in_dim(padded, i, i + n, axis=axis) for i in (0, 2))
        shape = (*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
        x = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1).reshape(shape)
    return x


def upsample_conv(
    x: Float[Array, "batch height width in"], k: Float[Array, "odd odd in out"]
) -> Float[Array, "batch 2*height 2*width out"]:
    """`upsample_nearest`, and a convolution with as many outputs.

    Pixels that are equal meet several taps: their sum can be taken first. On CPU this is a transposed convolution of
    stride two, whose kernel is that of the convolution, reversed and smeared over two pixels: 16 taps for four pixels
    instead of the 36 of a 3x3 kernel.
    """
    return lax.platform_dependent(x, k, cpu=_transposed_form, default=_resized_form)


def _resized_form(
    x: Float[Array, "batch height width in"], k: Float[Array, "odd odd in out"]
) -> Float[Array, "batch 2*height 2*width out"]:
    return conv(_geometry(x, k, 1), upsample_nearest(x), k)


def _transposed_form(
    x: Float[Array, "batch height width in"], k: Float[Array, "odd odd in out"]
) -> Float[Array, "batch 2*height 2*width out"]:
    k = jnp.flip(k, (0, 1)).swapaxes(2, 3)
    for axis in (0, 1):
        shifted = [jnp.pad(k, [pad if a == axis else (0, 0) for a in range(4)]) for pad in ((0, 1), (1, 0))]
        k = shifted[0] + shifted[1]
    return conv_transpose(_geometry(x, k, 2), x, k)


def _geometry(x: Float[Array, "batch height width in"], k: Array, stride: int) -> Geometry:
    """From an image of twice the size, with a stride that keeps or halves it."""
    before = (k.shape[0] - 1) // 2
    return Geometry((2 * x.shape[1], 2 * x.shape[2]), k.shape[:2], (stride,) * 2, ((before, before),) * 2, (1, 1))


class UpsampledConv(nn.Module):
    """`upsample_nearest` and a `Conv` with an odd square kernel, stride one and SAME padding, as `upsample_conv`.

    Attributes:
        features: channels of the result.
        kernel: side of the square kernel, odd.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel.
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: int
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width in"]) -> Float[Array, "batch up_height up_width out"]:
        """Doubles the image."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype).astype(self.dtype)
        return add_bias(self, upsample_conv(x.astype(self.dtype), kernel))


class UpConv(nn.Module):
    """One step of a decoder: a transposed convolution with stride, or up-sampling by two and a convolution.

    Odena et al. 2016 (distill.pub/2016/deconv-checkerboard): a transposed convolution whose kernel the stride does not
    divide covers pixels unevenly; resizing and convolving does not.

    Attributes:
        features: channels of the result.
        kernel: side of the square kernel.
        strides: by how much the image grows; 1 or 2 unless `upsampling` is "transposed".
        upsampling: how it grows.
        padding: of the convolution or of the one that is transposed.
        use_bias: adds one number per channel, initially zero.
        kernel_init: initial kernel.
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    kernel: int
    strides: int = 2
    upsampling: Upsampling = "transposed"
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width in"]
    ) -> Float[Array, "batch up_height up_width {self.features}"]:
        """Enlarges the image."""
        settings = {
            "use_bias": self.use_bias,
            "kernel_init": self.kernel_init,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        kernel = (self.kernel, self.kernel)
        if self.upsampling == "transposed":
            return ConvTranspose(self.features, kernel, self.strides, self.padding, **settings)(x)
        if self.strides not in (1, 2):
            raise ValueError(f"{self.upsampling} up-sampling is by 1 or 2, not by {self.strides}.")
        if self.strides == 2 and self.upsampling == "nearest" and self.padding == "SAME" and self.kernel % 2:
            return UpsampledConv(self.features, self.kernel, **settings)(x)
        if self.strides == 2:
            x = {"nearest": upsample_nearest, "bilinear": upsample_bilinear}[self.upsampling](x)
        return Conv(self.features, kernel, padding=self.padding, **settings)(x)
