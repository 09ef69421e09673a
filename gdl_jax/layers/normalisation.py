"""Normalisation with its conventions written out."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.initializers import Initializer


class BatchNorm(nn.Module):
    """Batch normalisation, Ioffe and Szegedy 2015, algorithm 1: scale (x - mean) / sqrt(variance + epsilon) + bias.

    The statistics are those of the global batch: under `jit` with the batch sharded over a mesh, XLA inserts the
    collectives, so that the result does not depend on the number of devices. They, scale and bias are float32 whatever
    `dtype` is (bfloat16 has steps of 1/128 above 1, where the scales live). The running variance averages the biased
    one, like Flax (PyTorch and Keras average the unbiased one).

    Texts differ: DCGAN and PyTorch's defaults are 0.9 and 1e-5 (PyTorch writes the weight of the new value, 0.1),
    Keras' are 0.99 and 1e-3.

    Collections:
        params: scale, bias. batch_stats: mean, var.

    Attributes:
        momentum: weight of the old value in the running statistics, in [0, 1].
        epsilon: added to the variance, > 0.
        axis: the axes that keep their own statistics; (-3, -2, -1) normalises every unit of an image on its own.
        scale_init: initial scale.
        dtype: dtype of the result.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis: int | tuple[int, ...] = -1
    scale_init: Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, " batch *rest"], *, train: bool) -> Float[Array, " batch *rest"]:
        """Normalises by the batch's statistics and updates the running ones (train), or by the running ones."""
        norm = nn.BatchNorm(
            use_running_average=not train,
            axis=self.axis,
            momentum=self.momentum,
            epsilon=self.epsilon,
            scale_init=self.scale_init,
            dtype=jnp.float32,
        )
        return norm(x.astype(jnp.float32)).astype(self.dtype)
