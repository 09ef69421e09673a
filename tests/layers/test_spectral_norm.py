"""Spectral normalisation against the singular values of NumPy."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.convolution import Conv, ConvTranspose
from gdl_jax.layers.spectral_norm import (
    SpectralConv,
    SpectralConvTranspose,
    SpectralDense,
    SpectralEmbed,
    spectrally_normalised,
)

KEY = jax.random.key(0)
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


class Kernel(nn.Module):
    """Gives its own kernel, normalised."""

    shape: tuple[int, ...]
    axis: int = -1

    @nn.compact
    def __call__(self):
        kernel = self.param("kernel", nn.initializers.normal(0.02), self.shape)
        return spectrally_normalised(self, kernel, self.axis)


def singular(kernel, axis=-1):
    matrix = np.moveaxis(np.asarray(kernel, np.float64), axis, 0).reshape(kernel.shape[axis], -1)
    return np.linalg.svd(matrix, compute_uv=False)


@pytest.mark.parametrize(("shape", "axis"), [((3, 3, 5, 8), -1), ((4, 4, 5, 8), -2), ((7, 3), -1)])
def test_the_greatest_singular_value_becomes_one(shape, axis):
    module = Kernel(shape, axis)
    variables = jit(module.init)(KEY)
    kernel, u = variables["params"]["kernel"], variables["spectral"]["u"]
    assert u.shape == (shape[axis],)
    assert set(variables["params"]) == {"kernel"}
    # The kernel is stored as it was drawn.
    assert 0.01 < kernel.std() < 0.03
    assert singular(jit(module.apply)(variables), axis)[0] == pytest.approx(1, abs=0.03)
    again = jit(partial(module.apply, mutable=["spectral"]))
    for _ in range(60):
        found, wrote = again(variables)
        variables = {"params": variables["params"]} | wrote
    assert singular(found, axis)[0] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(found, kernel / singular(kernel, axis)[0], rtol=1e-3)


def test_one_iteration_where_the_collection_may_be_written_and_none_elsewhere():
    module = Kernel((6, 4))
    variables = module.init(KEY)
    moved = {"params": {"kernel": jax.random.normal(jax.random.key(1), (6, 4))}, "spectral": variables["spectral"]}
    w = np.asarray(moved["params"]["kernel"], np.float64).T
    u = np.asarray(moved["spectral"]["u"], np.float64)

    def unit(x):
        return x / np.linalg.norm(x)

    np.testing.assert_allclose(module.apply(moved), w.T / (u @ w @ unit(w.T @ u)), rtol=1e-4)
    found, wrote = module.apply(moved, mutable=["spectral"])
    one = unit(w @ unit(w.T @ u))
    np.testing.assert_allclose(wrote["spectral"]["u"], one, rtol=1e-4)
    np.testing.assert_allclose(found, w.T / (one @ w @ unit(w.T @ one)), rtol=1e-4)


def test_the_gradient_holds_the_singular_vectors_fixed():
    """Of kernel / sigma, with d sigma / d W = u v^T: eq. 9 of the paper's section 2.2 comes of that."""
    module = Kernel((6, 4))
    variables = module.init(KEY)
    weights = jax.random.normal(jax.random.key(1), (6, 4))

    def total(kernel):
        return (weights * module.apply({"params": {"kernel": kernel}, "spectral": variables["spectral"]})).sum()

    kernel = variables["params"]["kernel"]
    w, u = np.asarray(kernel, np.float64).T, np.asarray(variables["spectral"]["u"], np.float64)
    v = w.T @ u / np.linalg.norm(w.T @ u)
    sigma = u @ w @ v
    g = np.asarray(weights, np.float64).T
    wanted = g / sigma - (g * w).sum() / sigma**2 * np.outer(u, v)
    np.testing.assert_allclose(jit(jax.grad(total))(kernel), wanted.T, rtol=1e-3, atol=1e-3)


LAYERS = {
    "conv": (SpectralConv(6, (3, 3), 2), Conv(6, (3, 3), 2), (2, 5, 5, 3), "kernel", -1),
    "transposed": (SpectralConvTranspose(6, (4, 4), 2), ConvTranspose(6, (4, 4), 2), (2, 5, 5, 3), "kernel", -2),
    "dense": (SpectralDense(6), nn.Dense(6), (2, 9), "kernel", -1),
    "embed": (SpectralEmbed(6, 4), nn.Embed(6, 4), None, "embedding", -1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_plain_one_with_a_normalised_kernel(name):
    layer, plain, shape, parameter, axis = LAYERS[name]
    x = jnp.arange(6) if shape is None else jax.random.normal(KEY, shape)
    variables = jit(layer.init)(KEY, x)
    params = variables["params"] | ({} if name == "embed" else {"bias": jnp.arange(6.0)})
    kernel, u = np.asarray(params[parameter], np.float64), np.asarray(variables["spectral"]["u"], np.float64)
    matrix = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)
    sigma = np.linalg.norm(matrix.T @ u)
    divided = {"params": params | {parameter: jnp.asarray(kernel / sigma, jnp.float32)}}

    @jit
    def run(variables, divided):
        half = layer.clone(dtype=jnp.bfloat16).apply(variables, x)
        return layer.apply(variables, x), half, plain.apply(divided, x)

    found, half, wanted = run(variables | {"params": params}, divided)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), wanted, rtol=0.1, atol=0.1)
