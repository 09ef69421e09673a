from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from gdl_jax.layers.initializers import scale002
from gdl_jax.layers.normalisation import BatchNorm


@pytest.fixture
def images():
    return 3 + 2 * jax.random.normal(jax.random.key(0), (16, 4, 4, 5))


@pytest.mark.parametrize("axes", [(0, 1, 2), (0,)])
@pytest.mark.parametrize(("momentum", "epsilon"), [(0.9, 1e-5), (0.99, 1e-3), (0.9, 0.8)])
def test_against_numpy(images, axes, momentum, epsilon):
    layer = BatchNorm(momentum, epsilon, axis=-1 if len(axes) == 3 else (-3, -2, -1))
    variables = layer.init(jax.random.key(1), images, train=True)
    out, updated = layer.apply(variables, images, train=True, mutable=["batch_stats"])

    x = np.asarray(images, np.float64)
    mean, variance = x.mean(axes), x.var(axes)
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(variance + epsilon), atol=1e-4)
    running = updated["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(running["mean"], (1 - momentum) * mean, rtol=1e-4)
    np.testing.assert_allclose(running["var"], momentum + (1 - momentum) * variance, rtol=1e-4)

    out = layer.apply(variables | updated, images, train=False)
    wanted = (x - np.asarray(running["mean"])) / np.sqrt(np.asarray(running["var"]) + epsilon)
    np.testing.assert_allclose(out, wanted, atol=1e-4)


def test_bfloat16_results_and_float32_statistics(images):
    layer = BatchNorm(dtype=jnp.bfloat16, scale_init=scale002)
    x = images.astype(jnp.bfloat16)
    variables = layer.init(jax.random.key(1), x, train=True)
    out, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updated))} == {jnp.dtype(jnp.float32)}
    wanted = 0.1 * x.astype(jnp.float32).mean((0, 1, 2))
    np.testing.assert_allclose(updated["batch_stats"]["BatchNorm_0"]["mean"], wanted, rtol=1e-5)


def test_statistics_are_those_of_the_global_batch(images):
    layer = BatchNorm()
    variables = layer.init(jax.random.key(1), images, train=True)

    def apply(x):
        return layer.apply(variables, x, train=True, mutable=["batch_stats"])

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.jit(apply)(jax.device_put(images, NamedSharding(mesh, P("data"))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), sharded, apply(images))
