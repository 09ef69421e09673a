"""Residual networks: He et al. 2016 (arXiv:1512.03385)."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.initializers import Initializer, torch_uniform
from gdl_jax.layers.normalisation import BatchNorm, Norm

Shortcut = Literal["pad", "project", "broadcast"]

he_normal: Initializer = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""N(0, 2 / fan_in): He et al. 2015, eq. 10."""


class ResidualBlock(nn.Module):
    """relu(F(x) + x) with F of two 3x3 convolutions, He et al. 2016, fig. 2.

    Attributes:
        features: channels of the result.
        hidden: channels between the two convolutions; None for `features`.
        strides: of the first convolution.
        shortcut: what takes the place of x where F changes its shape. "pad": every stride-th pixel of x, the missing
            channels zero (option A of the paper); "project": a strided 1x1 convolution with norm (option B);
            "broadcast": the one channel of x, repeated.
        relu_last: relu(F(x) + x); else relu(F(x)) + x.
        use_bias: of the convolutions.
        norm: after each convolution.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of the kernels.
    """

    features: int
    hidden: int | None = None
    strides: int = 1
    shortcut: Shortcut = "pad"
    relu_last: bool = True
    use_bias: bool = False
    norm: Norm = BatchNorm
    kernel_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width in"], *, train: bool
    ) -> Float[Array, "batch out_height out_width {self.features}"]:
        """Applies the block."""
        y = nn.relu(self._conv(x, self.hidden or self.features, 3, self.strides, train))
        y = self._conv(y, self.features, 3, 1, train)
        if y.shape != x.shape:
            x = self._shortcut(x, y.shape, train)
        x = x.astype(y.dtype)
        return nn.relu(y + x) if self.relu_last else nn.relu(y) + x

    def _conv(self, x: Array, features: int, kernel: int, strides: int, train: bool) -> Array:
        # Padded alike on both sides, so that a strided kernel is centred on the pixels that the shortcut takes.
        x = Conv(
            features,
            (kernel, kernel),
            strides,
            padding=kernel // 2,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )(x)
        return self.norm(dtype=self.dtype)(x, train=train)

    def _shortcut(self, x: Array, shape: tuple[int, ...], train: bool) -> Array:
        if self.shortcut == "project":
            return self._conv(x, self.features, 1, self.strides, train)
        x = x[:, :: self.strides, :: self.strides]
        if self.shortcut == "pad":
            return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])))
        return jnp.broadcast_to(x, shape)


class ResNet(nn.Module):
    """The paper's network for CIFAR-10 (section 4.2): a convolution, three stages of blocks, the mean over the image.

    The side halves and the width doubles from stage to stage. It has 6 blocks + 2 layers with weights: ResNet-20 by
    default. Images of any size.

    Attributes:
        num_classes: logits.
        width: channels of the first stage.
        blocks: in each stage; n of the paper.
        shortcut: where the shape changes; see `ResidualBlock`.
        norm: after each convolution.
        kernel_init: initial kernels of the convolutions.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    num_classes: int
    width: int = 16
    blocks: int = 3
    shortcut: Shortcut = "pad"
    norm: Norm = BatchNorm
    kernel_init: Initializer = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, penultimate: bool = False
    ) -> Float[Array, "batch units"]:
        """Logits, or with `penultimate` the means over the image that the last layer takes; float32."""
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        settings = dtypes | {"kernel_init": self.kernel_init}
        x = Conv(self.width, (3, 3), use_bias=False, **settings)(x)
        x = nn.relu(self.norm(dtype=self.dtype)(x, train=train))
        for stage in range(3):
            for block in range(self.blocks):
                strides = 2 if stage > 0 and block == 0 else 1
                features = self.width * 2**stage
                residual = ResidualBlock(features, strides=strides, shortcut=self.shortcut, norm=self.norm, **settings)
                x = residual(x, train=train)
        x = x.mean(axis=(1, 2))
        if not penultimate:
            x = nn.Dense(self.num_classes, kernel_init=torch_uniform, **dtypes)(x)
        return x.astype(jnp.float32)


class TwoBlockResNet(nn.Module):
    """Two residual blocks with narrow and wide middles, a strided convolution and the maximum over the image.

    Lanham, chapter 6, exercise 6-1. The text's blocks have convolutions of stride 2 with 15 zeros on each side, which
    keep 28x28 pixels but shrink the image into the middle of them, so that the shortcut adds a copy that does not lie
    on it; here they have stride 1, at the same number of parameters.

    Attributes:
        num_classes: logits.
        shortcut: of the first block; the text repeats the image's one channel.
        relu_last: see `ResidualBlock`; the text's is False.
        norm: after each convolution.
        kernel_init: initial kernels.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    num_classes: int
    shortcut: Shortcut = "project"
    relu_last: bool = True
    norm: Norm = BatchNorm
    kernel_init: Initializer = torch_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool, penultimate: bool = False
    ) -> Float[Array, "batch units"]:
        """Logits, or with `penultimate` the means over the image of what the last convolution takes; float32."""
        settings = {"kernel_init": self.kernel_init, "dtype": self.dtype, "param_dtype": self.param_dtype}
        for hidden in (8, 32):
            block = ResidualBlock(
                16,
                hidden,
                shortcut=self.shortcut,
                relu_last=self.relu_last,
                use_bias=True,
                norm=self.norm,
                **settings,
            )
            x = block(x, train=train)
        if penultimate:
            return x.mean(axis=(1, 2)).astype(jnp.float32)
        x = Conv(self.num_classes, (3, 3), 2, padding=1, **settings)(x)
        x = self.norm(dtype=self.dtype)(x, train=train)
        return x.max(axis=(1, 2)).astype(jnp.float32)
