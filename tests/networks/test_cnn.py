from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.conv_autoencoder import batch_norm, leaky_relu
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)

F10 = CNN(10, (Block(10, 4, 2), Block(20, 3, 2)), activation=None)
F11 = CNN(
    10,
    (Block(32), Block(32, strides=2), Block(64), Block(64, strides=2)),
    hidden=(128,),
    hidden_dropout_rate=0.5,
    norm=batch_norm,
    activation=leaky_relu,
)
LA08 = CNN(10, (Block(32), Block(64, pool=2, dropout_rate=0.25)), (128,), 0.5, padding="VALID")

# name: network, image shape, width of the features, trainable numbers, batch norm's statistics
CASES = {
    "F10": (F10, (32, 32, 3), 1280, 15_120, 0),
    "F11": (F11, (32, 32, 3), 128, 591_914, 640),
    "LA08": (LA08, (28, 28, 1), 128, 1_199_882, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_parameter_counts(name):
    network, shape, width, trainable, statistics = CASES[name]
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    logits, variables = jax.eval_shape(lambda x: network.init_with_output(KEY, x, train=False), x)
    features = jax.eval_shape(lambda v, x: network.apply(v, x, train=False, penultimate=True), variables, x)
    assert logits.shape == (2, 10)
    assert features.shape == (2, width)
    assert count(variables["params"]) == trainable
    assert count(variables.get("batch_stats", {})) == statistics


def test_a_block_is_convolution_norm_activation_pooling():
    network = CNN(2, (Block(3, pool=2),), norm=batch_norm, activation=nn.relu)
    x = jax.random.normal(KEY, (4, 6, 6, 1))
    variables = network.init(KEY, x, train=False)
    found, _ = network.apply(variables, x, train=True, penultimate=True, mutable=["batch_stats"])
    kernel = variables["params"]["Conv_0"]["kernel"]
    y = np.asarray(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
    y = np.maximum((y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-3), 0)
    y = y.reshape(4, 3, 2, 3, 2, 3).max((2, 4))
    np.testing.assert_allclose(found, y.reshape(4, -1), rtol=1e-4, atol=1e-5)


def test_without_activation_it_is_linear():
    x = jax.random.normal(KEY, (3, 8, 8, 3))
    variables = F10.init(KEY, x, train=False)
    one, two, both = (F10.apply(variables, y, train=False) for y in (x[:1], x[1:2], x[:1] + x[1:2]))
    np.testing.assert_allclose(one + two, both, rtol=1e-4, atol=1e-5)


def test_a_block_drops_whole_channels_in_training():
    network = CNN(2, (Block(200, dropout_rate=0.25),), activation=None)
    x = jax.random.normal(KEY, (2, 4, 4, 1))
    variables = network.init(KEY, x, train=False)
    kept = network.apply(variables, x, train=False, penultimate=True).reshape(2, 16, 200)
    found = network.apply(variables, x, train=True, penultimate=True, rngs={"dropout": KEY}).reshape(2, 16, 200)
    dropped = np.asarray((found == 0).all(axis=1))
    np.testing.assert_array_equal(dropped, (found == 0).any(axis=1))
    assert 0.15 < dropped.mean() < 0.35
    assert (dropped[0] != dropped[1]).any()
    wanted = np.where(dropped[:, None], 0, kept / 0.75)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_float32_out_of_bfloat16():
    x = jax.random.normal(KEY, (2, 8, 8, 3))
    network = CNN(5, (Block(4, strides=2), Block(4, pool=2)), (6,), norm=batch_norm, dtype=jnp.bfloat16)
    logits, variables = network.init_with_output(KEY, x, train=False)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables))} == {jnp.dtype(jnp.float32)}
    exact = network.clone(dtype=jnp.float32).apply(variables, x, train=False)
    assert not np.array_equal(logits, exact)
    np.testing.assert_allclose(logits, exact, atol=0.05)
