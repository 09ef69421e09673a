from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.networks.mlp import MLP
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)

# name: network, image shape, trainable numbers of the text's table
CASES = {
    "F08": (MLP((200, 150, 10)), (32, 32, 3), 646_260),
    "LA06": (MLP((500, 256, 10)), (28, 28, 1), 523_326),
    "S01": (MLP((128, 10), nn.tanh), (28, 28, 1), 101_770),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_parameter_counts(name):
    network, shape, trainable = CASES[name]
    out, variables = jax.eval_shape(lambda x: network.init_with_output(KEY, x, train=False), jnp.ones((2, *shape)))
    assert out.shape == (2, 10)
    assert count(variables["params"]) == trainable
    assert set(variables) == {"params"}


def test_hidden_layers_are_activated_and_the_last_is_not_unless_told():
    x = jax.random.normal(KEY, (5, 2, 3))
    variables = MLP((4, 3), nn.relu).init(KEY, x, train=False)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    first, last = (jax.device_get(variables["params"][f"Dense_{i}"]) for i in (0, 1))
    hidden = np.maximum(np.asarray(x).reshape(5, 6) @ first["kernel"] + first["bias"], 0)
    wanted = hidden @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(MLP((4, 3)).apply(variables, x, train=False), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        MLP((4, 3)).apply(variables, x, train=False, penultimate=True), hidden, rtol=1e-5, atol=1e-6
    )
    assert (wanted < 0).any()
    activated = MLP((4, 3), activate_last=True).apply(variables, x, train=False)
    np.testing.assert_allclose(activated, np.maximum(wanted, 0), rtol=1e-5, atol=1e-6)


def test_one_layer_is_linear_and_has_the_pixels_for_features():
    x = jax.random.normal(KEY, (5, 2, 3))
    network = MLP((4,))
    variables = network.init(KEY, x, train=False)
    np.testing.assert_allclose(network.apply(variables, -x, train=False), -network.apply(variables, x, train=False))
    np.testing.assert_array_equal(network.apply(variables, x, train=False, penultimate=True), x.reshape(5, 6))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_norm_and_dropout_act_on_hidden_layers_in_training(dtype):
    network = MLP((64, 3), norm=BatchNorm, dropout_rate=0.5, dtype=dtype)
    x = jax.random.normal(KEY, (8, 6))
    variables = network.init(KEY, x, train=False)
    assert count(variables["batch_stats"]) == 2 * 64
    apply = jax.jit(
        lambda key: network.apply(
            variables, x, train=True, penultimate=True, mutable=["batch_stats"], rngs={"dropout": key}
        )[0]
    )
    one, two = apply(jax.random.key(1)), apply(jax.random.key(2))
    assert one.dtype == jnp.float32
    assert not np.array_equal(one, two)
    # Half are negative before the ReLU, and half of the rest are dropped.
    assert 0.6 < (one == 0).mean() < 0.9
    logits = network.apply(variables, x, train=False)
    assert logits.dtype == jnp.float32
    np.testing.assert_array_equal(logits, network.apply(variables, x, train=False))
