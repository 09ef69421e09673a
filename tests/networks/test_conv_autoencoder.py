"""Shapes, dtypes and the parameter counts of the texts, by `jax.eval_shape`."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.layers.initializers import torch_uniform
from gdl_jax.networks.conv_autoencoder import ConvDecoder, ConvEncoder, batch_norm
from gdl_jax.networks.summary import count

foster_faces = {"kernels": (3,) * 4, "strides": (2,) * 4, "norm": batch_norm, "dropout_rate": 0.25}
jiang = {"activation": nn.relu}
lanham = {"activation": nn.relu, "padding": "VALID", "kernel_init": torch_uniform, "strides": (2,) * 4}

# name: network, input shape, output shapes, trainable, batch norm's statistics
CASES = {
    "J10 encoder": (ConvEncoder(2, 2, (32, 64), (3, 3), (2, 2), hidden=(16,), **jiang), (2, 28, 28, 1), [(2, 2)] * 2,
                    69_076, 0),
    "J10 decoder": (ConvDecoder((7, 7, 64), (64, 32, 1), (3, 3, 3), (2, 2, 1), start_activation=nn.relu, **jiang),
                    (2, 2), [(2, 28, 28, 1)], 65_089, 0),
    "F13 encoder": (ConvEncoder(heads=1), (2, 28, 28, 1), [(2, 2)], 98_946, 0),
    "F13 and F15 decoder": (ConvDecoder(), (2, 2), [(2, 28, 28, 1)], 102_017, 0),
    "F15 encoder": (ConvEncoder(), (2, 28, 28, 1), [(2, 2)] * 2, 105_220, 0),
    "F17 encoder": (ConvEncoder(200, **foster_faces), (2, 128, 128, 3), [(2, 200)] * 2, 1_732_496, 448),
    "F17 decoder": (ConvDecoder((8, 8, 64), (64, 64, 32, 3), **foster_faces), (2, 200), [(2, 128, 128, 3)],
                    916_803, 320),
    "LA15 encoder": (ConvEncoder(32, 2, (32, 64, 128, 256), (4,) * 4, **lanham), (2, 64, 64, 3), [(2, 32)] * 2,
                     690_144 + 2 * 32_800, 0),
    "LA15 decoder": (ConvDecoder((1, 1, 1024), (128, 64, 32, 3), (5, 5, 6, 6), **lanham), (2, 32), [(2, 64, 64, 3)],
                     4_348_547 - 690_144 - 2 * 32_800, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_parameter_counts(name):
    network, inputs, outputs, trainable, statistics = CASES[name]
    init = partial(network.init_with_output, train=True)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    out, variables = jax.eval_shape(init, rngs, jax.ShapeDtypeStruct(inputs, jnp.float32))
    assert [leaf.shape for leaf in jax.tree.leaves(out)] == outputs
    assert count(variables["params"]) == trainable
    assert count(variables.get("batch_stats", {})) == statistics


def test_the_last_block_with_and_without_its_activation():
    encoder, x = ConvEncoder(features=(4, 5), kernels=(3, 3), strides=(2, 2)), jnp.ones((2, 8, 8, 1))
    variables = encoder.init(jax.random.key(0), x, train=True)
    values = []
    for activate in (True, False):
        network = encoder.clone(activation=nn.relu, activate_last=activate)
        _, kept = network.apply(variables, x, train=False, capture_intermediates=True)
        last = kept["intermediates"]["Conv_1"]["__call__"][0].reshape(2, -1)
        code = nn.Dense(2).apply({"params": variables["params"]["Dense_0"]}, nn.relu(last) if activate else last)
        values.append(network.apply(variables, x, train=False)[0])
        np.testing.assert_allclose(values[-1], code, atol=1e-6)
    assert np.abs(values[0] - values[1]).max() > 1e-3


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_out_of_any_compute_dtype(dtype):
    tiny = {"kernels": (3, 3), "strides": (2, 2), "norm": batch_norm, "dropout_rate": 0.25, "dtype": dtype}
    encoder, decoder = ConvEncoder(features=(4, 4), **tiny), ConvDecoder((2, 2, 4), (4, 1), **tiny)
    x = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1))

    @jax.jit
    def run(key):
        (mean, log_variance), e = encoder.init_with_output({"params": key, "dropout": key}, x, train=True)
        out, d = decoder.init_with_output({"params": key, "dropout": key}, mean, train=True)
        return mean, log_variance, out, e, d, decoder.apply(d, mean, train=False)

    results = run(jax.random.key(1))
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(jnp.float32)}
    assert results[2].shape == (3, 8, 8, 1)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results))


def test_dropout_acts_in_training_only():
    network = ConvEncoder(features=(4,), kernels=(3,), strides=(2,), dropout_rate=0.5)
    x = jax.random.uniform(jax.random.key(0), (3, 8, 8, 1))
    variables = network.init(jax.random.key(1), x, train=False)
    one, two = (network.apply(variables, x, train=True, rngs={"dropout": jax.random.key(i)})[0] for i in (2, 3))
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(*(network.apply(variables, x, train=False)[0] for _ in range(2)))
