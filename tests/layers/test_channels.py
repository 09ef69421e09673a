from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.channels import channel_dot, channel_scale, channel_sum, spread


@pytest.mark.parametrize("shape", [(7,), (6, 5), (1, 3), (4, 6, 5, 3), (2, 3, 100), (13, 11, 1), (3, 7, 7, 16)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_sums_against_numpy(shape, dtype):
    x, y = (jax.random.normal(key, shape).astype(dtype) for key in jax.random.split(jax.random.key(0)))
    total, dot = jax.jit(channel_sum)(x), jax.jit(channel_dot)(x, y)
    assert total.dtype == dot.dtype == jnp.float32
    wide_x, wide_y = (np.asarray(a, np.float64).reshape(-1, shape[-1]) for a in (x, y))
    np.testing.assert_allclose(total, wide_x.sum(0), atol=1e-5)
    np.testing.assert_allclose(dot, (wide_x * wide_y).sum(0), atol=1e-5)


def test_each_is_a_derivative_of_another():
    x, v = jax.random.normal(jax.random.key(0), (4, 3, 5)), jnp.arange(5.0)
    np.testing.assert_array_equal(jax.grad(lambda x: channel_sum(x) @ v)(x), jnp.broadcast_to(v, x.shape))
    np.testing.assert_allclose(jax.grad(lambda v: (spread(v, x.shape) * x).sum())(v), x.sum((0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(jax.grad(lambda y: channel_dot(x, y) @ v)(x), channel_scale(x, v))
    np.testing.assert_array_equal(jax.grad(lambda v: (channel_scale(x, v) * x).sum())(v), channel_dot(x, x))


def test_second_derivatives():
    x, v = jax.random.normal(jax.random.key(0), (4, 6, 5)), jnp.arange(5.0)

    def ours(v):
        scaled = channel_scale(x, v)
        return jnp.square(channel_sum(jnp.square(spread(v, x.shape)) * x) + channel_dot(scaled, scaled * x)).sum()

    def plain(v):
        w = jnp.broadcast_to(v, x.shape)
        return jnp.square((w**2 * x).sum((0, 1)) + ((x * w) ** 2 * x).sum((0, 1))).sum()

    np.testing.assert_allclose(jax.jacrev(jax.grad(ours))(v), jax.hessian(plain)(v), rtol=1e-4, atol=1e-4)


def test_gradient_has_the_dtype_of_its_argument():
    x, v = jnp.ones((4, 3), jnp.bfloat16), jnp.ones(3)
    assert jax.grad(lambda x: channel_sum(x).sum())(x).dtype == jnp.bfloat16
    assert jax.grad(lambda x: channel_dot(x, x).sum())(x).dtype == jnp.bfloat16
    for function in (lambda v: spread(v, (4, 3), jnp.bfloat16), lambda v: channel_scale(x, v)):
        assert jax.grad(lambda v, function=function: function(v).astype(jnp.float32).sum())(v).dtype == jnp.float32
