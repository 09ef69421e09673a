"""Residual networks from images to images, and what judges those: Valle, Hands-On GANs with Keras, chapter 5.

The text's listings compute the sum with the input and do not use it, do not widen at the first halving (as here), and
call a block with an argument that it does not have; its discriminator's blocks have to halve the image.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.convolution import Conv, ConvTranspose
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.normalisation import BatchNorm, Norm
from gdl_jax.networks.resnet import ResidualBlock
from gdl_jax.networks.resnet_gan import mean_pool


class ResNetTranslator(nn.Module):
    """Halvings, residual blocks, doublings, and the mean of the result and the input.

    The mean with the input makes sense where the two are aligned, as in denoising; not from edges to shoes. It takes at
    most half of what is wrong from a value that should be -1 or 1, such as noise on a black background, since the last
    layer's tanh goes no further.

    Attributes:
        width: channels of the first two convolutions; each further halving doubles them.
        halvings: and as many doublings.
        blocks: residual blocks on the smallest image.
        residual: takes the mean with the input.
        norm: after every convolution but the last.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    width: int = 64
    halvings: int = 2
    blocks: int = 6
    residual: bool = True
    norm: Norm = BatchNorm
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool
    ) -> Float[Array, "batch height width channels"]:
        """Images in [-1, 1] of images in [-1, 1], float32. Height and width are multiples of 2^halvings."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        widths = [self.width * 2**i for i in range(self.halvings)]

        def activated(y: Array) -> Array:
            return nn.relu(self.norm(dtype=self.dtype)(y, train=train))

        y = activated(Conv(self.width, (3, 3), **settings)(x))
        for width in widths:
            y = activated(Conv(width, (3, 3), 2, **settings)(y))
        for _ in range(self.blocks):
            y = ResidualBlock(widths[-1], use_bias=True, norm=self.norm, **settings)(y, train=train)
        for width in reversed(widths):
            y = activated(ConvTranspose(width, (3, 3), 2, **settings)(y))
        y = jnp.tanh(Conv(x.shape[-1], (3, 3), **settings)(y).astype(jnp.float32))
        return (y + x) / 2 if self.residual else y


class ResNetJudge(nn.Module):
    """Image -> 1x1 convolution -> residual blocks that halve it -> 4x4 convolution -> one logit.

    Attributes:
        width: channels of all layers.
        blocks: halvings; three for 32x32 pixels, so that 4x4 are left.
        norm: in the blocks, after every convolution.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    width: int = 64
    blocks: int = 3
    norm: Norm = BatchNorm
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch height width channels"], *, train: bool) -> Float[Array, " batch"]:
        """Logits, float32."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = Conv(self.width, (1, 1), **settings)(x)
        for _ in range(self.blocks):
            # The block ends in ReLU; the mean of 2x2 is taken of both of its paths at once.
            x = mean_pool(ResidualBlock(self.width, use_bias=True, norm=self.norm, **settings)(x, train=train))
        x = Conv(self.width, (4, 4), padding="VALID", **settings)(x)
        return nn.Dense(1, **settings)(x.reshape(len(x), -1)).astype(jnp.float32)[:, 0]
