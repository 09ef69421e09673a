"""Normalisation with its conventions written out."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gdl_jax.layers.channels import channel_dot, channel_scale, channel_sum, spread
from gdl_jax.layers.initializers import Initializer

Norm = Callable[..., nn.Module]
"""Called as norm(dtype=...)(x, train=...)."""


class BatchNorm(nn.Module):
    """Batch normalisation, Ioffe and Szegedy 2015, algorithm 1: scale (x - mean) / sqrt(variance + epsilon) + bias.

    The statistics are those of the global batch: under `jit` with the batch sharded over a mesh, XLA inserts the
    collectives, so that the result does not depend on the number of devices. They, scale and bias are float32 whatever
    `dtype` is (bfloat16 has steps of 1/128 above 1, where the scales live). The running variance averages the biased
    one, like Flax (PyTorch and Keras average the unbiased one).

    Texts differ: DCGAN and PyTorch's defaults are 0.9 and 1e-5 (PyTorch writes the weight of the new value, 0.1),
    Keras' are 0.99 and 1e-3.

    Collections:
        params: scale, bias (none without `affine`). batch_stats: mean, var.

    Attributes:
        momentum: weight of the old value in the running statistics, in [0, 1].
        epsilon: added to the variance, > 0.
        axis: the last axes, which keep their own statistics: -1, or (-3, -2, -1) for every unit of an image.
        affine: whether there are scale and bias; else they are 1 and 0.
        scale_init: initial scale.
        dtype: dtype of the result.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis: int | tuple[int, ...] = -1
    affine: bool = True
    scale_init: Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, " batch *rest"], *, train: bool) -> Float[Array, " batch *rest"]:
        """Normalises by the batch's statistics and updates the running ones (train), or by the running ones."""
        rank = 1 if isinstance(self.axis, int) else len(self.axis)
        if self.axis not in (-1, tuple(range(-rank, 0))):
            raise ValueError(
                f"BatchNorm keeps statistics of the last axes, such as -1 or (-3, -2, -1), not {self.axis}."
            )
        rows = x.reshape(*x.shape[:-rank], -1).astype(jnp.float32)
        size, num = rows.shape[-1], rows.size // rows.shape[-1]
        kept = x.shape[x.ndim - rank :]
        scale, bias = jnp.ones(size, jnp.float32), jnp.zeros(size, jnp.float32)
        if self.affine:
            scale = self.param("scale", self.scale_init, (size,), jnp.float32)
            bias = self.param("bias", nn.initializers.zeros, (size,), jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (size,), jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, (size,), jnp.float32)

        # Variance and result do not change with the origin; a near one keeps small what is squared, and both sums can
        # be taken in one pass.
        origin = lax.stop_gradient(running_mean.value)
        rows = rows - spread(origin, rows.shape)
        mean, var = running_mean.value - origin, running_var.value
        if train:
            mean = channel_sum(rows) / num
            var = jnp.maximum(channel_dot(rows, rows) / num - jnp.square(mean), 0)
            if not self.is_initializing():
                running_mean.value = lax.stop_gradient(origin + (1 - self.momentum) * mean)
                running_var.value = lax.stop_gradient(self.momentum * running_var.value + (1 - self.momentum) * var)
        slope = scale * lax.rsqrt(var + self.epsilon)
        y = channel_scale(rows, slope) + spread(bias - mean * slope, rows.shape)
        return y.reshape(*x.shape[: x.ndim - rank], *kept).astype(self.dtype)


class LayerNorm(nn.Module):
    """Layer normalisation, Ba et al. 2016 (arXiv:1607.06450), eq. 3, of each example alone.

    By default mean and variance are over the channels of one position, as in transformers: what has a causal order
    keeps it. With `axes` (-3, -2, -1) they are over all of an image's pixels and channels, as in the critics with a
    penalty of Gulrajani et al. 2017 (their code). Scale and bias are per channel either way. All float32.

    Attributes:
        epsilon: added to the variance, > 0.
        axes: over which mean and variance are taken; not that of the batch.
        dtype: dtype of the result.
    """

    epsilon: float = 1e-5
    axes: tuple[int, ...] = (-1,)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch *size channels"]) -> Float[Array, "batch *size channels"]:
        """Normalises."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        y = x.astype(jnp.float32)
        y = y - y.mean(self.axes, keepdims=True)
        y = y * lax.rsqrt(jnp.square(y).mean(self.axes, keepdims=True) + self.epsilon)
        return (channel_scale(y, scale) + spread(bias, y.shape)).astype(self.dtype)


class InstanceNorm(nn.Module):
    """Instance normalisation, each channel of each image alone: Ulyanov et al. 2016 (arXiv:1607.08022), eq. 1.

    Attributes:
        epsilon: added to the variance, > 0.
        affine: whether every channel has a scale and a bias.
        dtype: dtype of the result.
    """

    epsilon: float = 1e-5
    affine: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *size channels"], *, train: bool = False
    ) -> Float[Array, "batch *size channels"]:
        """Normalises, in training as after it."""
        axes = tuple(range(1, x.ndim - 1))
        y = x.astype(jnp.float32)
        y = y - y.mean(axes, keepdims=True)
        y = y * lax.rsqrt(jnp.square(y).mean(axes, keepdims=True) + self.epsilon)
        if self.affine:
            scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
            y = channel_scale(y, scale) + spread(bias, y.shape)
        return y.astype(self.dtype)


class ConditionalBatchNorm(nn.Module):
    """`BatchNorm` with a scale and a bias for every class: Dumoulin et al. 2017 (arXiv:1610.07629), eq. 5.

    Statistics are over all images of the batch, whatever their class.

    Attributes:
        num_classes: rows of the tables.
        momentum: see `BatchNorm`.
        epsilon: see `BatchNorm`.
        dtype: dtype of the result.
    """

    num_classes: int
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *size channels"], labels: Int[Array, " batch"], *, train: bool
    ) -> Float[Array, "batch *size channels"]:
        """Normalises, and scales each image as its class is scaled."""
        x = BatchNorm(self.momentum, self.epsilon, affine=False, dtype=jnp.float32)(x, train=train)
        tables = {"scale": nn.initializers.ones, "bias": nn.initializers.zeros}
        shape = (self.num_classes, x.shape[-1])
        rows = [jnp.take(self.param(name, init, shape, jnp.float32), labels, axis=0) for name, init in tables.items()]
        scale, bias = (row.reshape(len(x), *(1,) * (x.ndim - 2), -1) for row in rows)
        return (x * scale + bias).astype(self.dtype)
