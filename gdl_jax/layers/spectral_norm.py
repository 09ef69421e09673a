"""Spectral normalisation: Miyato et al. 2018 (arXiv:1802.05957)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers.convolution import Conv, ConvTranspose
from gdl_jax.layers.initializers import Initializer, glorot_uniform

WARM_UP = 15
"""Iterations at initialisation, after which one per update keeps up with the weights."""


def spectrally_normalised(module: nn.Module, kernel: Float[Array, "*size"], output_axis: int = -1) -> Array:
    """The kernel divided by the largest singular value of the matrix (outputs, everything else): algorithm 1.

    The singular value is u^T W v with v = W^T u / |W^T u|, where u, a collection of the module, comes nearer to the
    left singular vector by one iteration u <- W v / |W v| in every call that may write the collection "spectral". u and
    v have no gradient. A call that may not write it, as in evaluation, takes u as it is.

    All calls of one update start from the same u and so divide by the same number; one of them is to be kept.

    Args:
        module: the layer, in its compact method.
        kernel: as stored; biases are not concerned.
        output_axis: of the kernel.
    """
    matrix = jnp.moveaxis(kernel, output_axis, 0).reshape(kernel.shape[output_axis], -1).astype(jnp.float32)
    fixed = lax.stop_gradient(matrix)
    state = module.variable("spectral", "u", _start, module, len(matrix))

    def right(u: Array) -> Array:
        return _unit(fixed.T @ u)

    u = state.value
    if module.is_mutable_collection("spectral"):
        rounds = WARM_UP if module.is_initializing() else 1
        u = lax.fori_loop(0, rounds, lambda _, u: _unit(fixed @ right(u)), u)
        state.value = u
    sigma = u @ matrix @ right(u)
    return (kernel.astype(jnp.float32) / sigma).astype(kernel.dtype)


def _start(module: nn.Module, size: int) -> Float[Array, " size"]:
    return _unit(jax.random.normal(module.make_rng("params"), (size,)))


def _unit(x: Float[Array, " size"]) -> Float[Array, " size"]:
    return x * lax.rsqrt(jnp.square(x).sum() + 1e-12)


class SpectralConv(Conv):
    """A convolution with a spectrally normalised kernel."""

    def convolve(
        self, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
    ) -> Float[Array, "batch *output out"]:
        """See `Conv`."""
        return super().convolve(x, spectrally_normalised(self, k))


class SpectralConvTranspose(ConvTranspose):
    """A transposed convolution with a spectrally normalised kernel; one text takes the wrong axis for its outputs."""

    def convolve(
        self, y: Float[Array, "batch *size in"], k: Float[Array, "*kernel out_per_group in"]
    ) -> Float[Array, "batch *output out"]:
        """See `ConvTranspose`."""
        return super().convolve(y, spectrally_normalised(self, k, output_axis=-2))


class SpectralDense(nn.Module):
    """A dense layer with a spectrally normalised kernel.

    Attributes:
        features: units.
        use_bias: adds one number per unit, initially zero.
        kernel_init: initial kernel (in, out).
        dtype: dtype of computation and result.
        param_dtype: dtype of the parameters.
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch {self.features}"]:
        """Applies the layer."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), self.param_dtype)
        y = x.astype(self.dtype) @ spectrally_normalised(self, kernel).astype(self.dtype)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        return y + jnp.broadcast_to(bias.astype(self.dtype), y.shape)


class SpectralEmbed(nn.Module):
    """A table of vectors, spectrally normalised as a matrix (Miyato and Koyama 2018, section 6.1).

    Attributes:
        num_embeddings: rows.
        features: length of each.
        embedding_init: initial table (num_embeddings, features).
        dtype: dtype of the result.
        param_dtype: dtype of the table.
    """

    num_embeddings: int
    features: int
    embedding_init: Initializer = glorot_uniform
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, indices: Array) -> Float[Array, "*batch {self.features}"]:
        """The rows of these indices."""
        shape = (self.num_embeddings, self.features)
        table = self.param("embedding", self.embedding_init, shape, self.param_dtype)
        return spectrally_normalised(self, table)[indices].astype(self.dtype)
