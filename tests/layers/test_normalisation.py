from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from gdl_jax.layers.initializers import scale002
from gdl_jax.layers.normalisation import BatchNorm, InstanceNorm, LayerNorm


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
    running = updated["batch_stats"]
    wanted = (1 - momentum) * mean
    np.testing.assert_allclose(running["mean"].reshape(wanted.shape), wanted, rtol=1e-4)
    wanted = momentum + (1 - momentum) * variance
    np.testing.assert_allclose(running["var"].reshape(wanted.shape), wanted, rtol=1e-4)

    out = layer.apply(variables | updated, images, train=False)
    mean, variance = (np.asarray(running[name]).reshape(mean.shape) for name in ("mean", "var"))
    wanted = (x - mean) / np.sqrt(variance + epsilon)
    np.testing.assert_allclose(out, wanted, atol=1e-4)


def test_bfloat16_results_and_float32_statistics(images):
    layer = BatchNorm(dtype=jnp.bfloat16, scale_init=scale002)
    x = images.astype(jnp.bfloat16)
    variables = layer.init(jax.random.key(1), x, train=True)
    out, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    assert out.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, updated))} == {jnp.dtype(jnp.float32)}
    wanted = 0.1 * x.astype(jnp.float32).mean((0, 1, 2))
    np.testing.assert_allclose(updated["batch_stats"]["mean"], wanted, rtol=1e-5)


def test_derivatives_of_first_and_second_order_do_not_depend_on_the_running_mean(images):
    layer = BatchNorm()
    variables = layer.init(jax.random.key(1), images, train=True)
    far = variables | {"batch_stats": {"mean": jnp.full(5, 2.5), "var": jnp.ones(5)}}
    weights = jax.random.normal(jax.random.key(2), images.shape)

    def ours(x, variables):
        return (weights * jnp.tanh(layer.apply(variables, x, train=True, mutable=["batch_stats"])[0])).sum()

    def reference(x):
        mean, variance = x.mean((0, 1, 2), keepdims=True), x.var((0, 1, 2), keepdims=True)
        return (weights * jnp.tanh((x - mean) * (variance + 1e-5) ** -0.5)).sum()

    def squared_slope(f):
        return lambda x: jnp.square(jax.grad(f)(x)).sum()

    for chosen in (variables, far):
        f = partial(ours, variables=chosen)
        np.testing.assert_allclose(jax.grad(f)(images), jax.grad(reference)(images), atol=2e-5)
        found, wanted = jax.grad(squared_slope(f))(images), jax.grad(squared_slope(reference))(images)
        np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_axes_in_the_middle_are_refused(images):
    with pytest.raises(ValueError, match="last axes"):
        BatchNorm(axis=1).init(jax.random.key(0), images, train=True)


def test_statistics_are_those_of_the_global_batch(images):
    layer = BatchNorm()
    variables = layer.init(jax.random.key(1), images, train=True)

    def apply(x):
        return layer.apply(variables, x, train=True, mutable=["batch_stats"])

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.jit(apply)(jax.device_put(images, NamedSharding(mesh, P("data"))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), sharded, apply(images))


def test_instance_norm_sees_a_channel_of_an_image_alone(images):
    x = np.asarray(images, np.float64)
    plain = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
    found, variables = InstanceNorm().init_with_output(jax.random.key(1), images, train=True)
    assert variables == {}
    np.testing.assert_allclose(found, plain, atol=1e-4)
    params = {"scale": jnp.arange(5.0), "bias": jnp.full(5, 2.0)}
    np.testing.assert_allclose(
        InstanceNorm(affine=True).apply({"params": params}, images), plain * np.arange(5) + 2, atol=1e-3
    )


@pytest.mark.parametrize("axes", [(-1,), (-3, -2, -1)])
def test_layer_norm_and_its_derivatives_of_first_and_second_order(images, axes):
    """Against Flax's with the channels of a position, and with all axes of an image."""
    ours = LayerNorm() if axes == (-1,) else LayerNorm(axes=axes)
    theirs = nn.LayerNorm(epsilon=1e-5, reduction_axes=axes, use_fast_variance=False)
    keys = jax.random.split(jax.random.key(1), 3)
    params = {"scale": jax.random.normal(keys[0], (5,)), "bias": jax.random.normal(keys[1], (5,))}
    weights = jax.random.normal(keys[2], images.shape)

    def three_orders(layer):
        def slope(params, x):
            return jax.grad(lambda x: (weights * layer.apply({"params": params}, x) ** 2).sum())(x)

        return (
            layer.apply({"params": params}, images),
            slope(params, images),
            jax.grad(lambda params, x: jnp.square(slope(params, x)).sum(), (0, 1))(params, images),
        )

    with jax.numpy_rank_promotion("allow"):  # As Flax has it.
        found, wanted = jax.jit(lambda: (three_orders(ours), three_orders(theirs)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * abs(b).max()), found, wanted)
    x = np.asarray(images, np.float64)
    plain = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    wanted = plain * np.asarray(params["scale"]) + np.asarray(params["bias"])
    np.testing.assert_allclose(found[0], wanted, atol=1e-4)
    assert LayerNorm(dtype=jnp.bfloat16).init_with_output(keys[0], images)[0].dtype == jnp.bfloat16
