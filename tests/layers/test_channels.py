from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.channels import channel_sum, spread


@pytest.mark.parametrize("shape", [(7,), (6, 5), (1, 3), (4, 6, 5, 3), (2, 3, 100), (13, 11, 1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_sum_against_numpy(shape, dtype):
    x = jax.random.normal(jax.random.key(0), shape).astype(dtype)
    found = jax.jit(channel_sum)(x)
    assert found.dtype == jnp.float32
    wanted = np.asarray(x, np.float64).reshape(-1, shape[-1]).sum(0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_each_is_the_derivative_of_the_other():
    x, v = jax.random.normal(jax.random.key(0), (4, 3, 5)), jnp.arange(5.0)
    np.testing.assert_array_equal(jax.grad(lambda x: channel_sum(x) @ v)(x), jnp.broadcast_to(v, x.shape))
    np.testing.assert_allclose(jax.grad(lambda v: (spread(v, x.shape) * x).sum())(v), x.sum((0, 1)), rtol=1e-5)

    def twice(v):
        return jnp.square(channel_sum(jnp.square(spread(v, x.shape)) * x)).sum()

    wanted = jax.hessian(lambda v: jnp.square((jnp.broadcast_to(v**2, x.shape) * x).sum((0, 1))).sum())(v)
    found = jax.jacrev(jax.grad(twice))(v)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_gradient_has_the_dtype_of_its_argument():
    x = jnp.ones((4, 3), jnp.bfloat16)
    assert jax.grad(lambda x: channel_sum(x).sum())(x).dtype == jnp.bfloat16
    assert (
        jax.grad(lambda v: spread(v, (4, 3), jnp.bfloat16).astype(jnp.float32).sum())(jnp.ones(3)).dtype == jnp.float32
    )
