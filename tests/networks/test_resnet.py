from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.networks.resnet import ResidualBlock, ResNet, TwoBlockResNet
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)

# name: network, image shape, width of the features, trainable numbers.
# L6.1 from its text. The ResNets by hand: a first convolution 432 + 32, stages of widths 16, 32, 64, 2n convolutions of
# 9 in out + 2 out, 650 for the last layer; He et al. 2016, table 6, has 0.27 M (n = 3) and 1.7 M (n = 18).
CASES = {
    "L6.1": (TwoBlockResNet(10, shortcut="broadcast", relu_last=False), (28, 28, 1), 16, 12_126),
    "L6.1 with a projection": (TwoBlockResNet(10), (28, 28, 3), 16, 12_126 + 8 * 2 * 9 + 3 * 16 + 16 + 32),
    "ResNet-20": (ResNet(10), (32, 32, 3), 64, 269_722),
    "ResNet-110": (ResNet(10, blocks=18), (32, 32, 3), 64, 1_727_962),
    "ResNet-20, projections": (ResNet(10, shortcut="project"), (32, 32, 3), 64, 269_722 + 512 + 64 + 2048 + 128),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_parameter_counts(name):
    network, shape, width, trainable = CASES[name]
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    logits, variables = jax.eval_shape(lambda x: network.init_with_output(KEY, x, train=False), x)
    features = jax.eval_shape(lambda v, x: network.apply(v, x, train=False, penultimate=True), variables, x)
    assert logits.shape == (2, 10)
    assert features.shape == (2, width)
    assert count(variables["params"]) == trainable


def silent(block, x):
    """The block's variables, with every kernel of F zero."""
    variables = block.init(KEY, x, train=False)
    params = dict(variables["params"])
    for name in ("Conv_0", "Conv_1"):
        params[name] = jax.tree.map(jnp.zeros_like, params[name])
    return {**variables, "params": params}


def test_a_block_whose_residual_is_zero_passes_its_input():
    x = jax.random.normal(KEY, (2, 6, 6, 3))
    after = ResidualBlock(3)
    np.testing.assert_allclose(after.apply(silent(after, x), x, train=False), np.maximum(x, 0), atol=1e-6)
    before = ResidualBlock(3, hidden=5, relu_last=False)
    np.testing.assert_allclose(before.apply(silent(before, x), x, train=False), x, atol=1e-6)


def test_shortcuts_where_the_shape_changes():
    x = jax.random.normal(KEY, (2, 6, 6, 3))
    padded = ResidualBlock(5, strides=2, relu_last=False)
    found = padded.apply(silent(padded, x), x, train=False)
    np.testing.assert_allclose(found[..., :3], x[:, ::2, ::2], atol=1e-6)
    np.testing.assert_allclose(found[..., 3:], 0, atol=1e-6)

    projected = ResidualBlock(5, strides=2, shortcut="project", relu_last=False)
    variables = silent(projected, x)
    kernel = variables["params"]["Conv_2"]["kernel"]
    assert kernel.shape == (1, 1, 3, 5)
    wanted = x[:, ::2, ::2] @ kernel[0, 0] / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(projected.apply(variables, x, train=False), wanted, rtol=1e-4, atol=1e-5)

    repeated = ResidualBlock(5, shortcut="broadcast", relu_last=False)
    found = repeated.apply(silent(repeated, x[..., :1]), x[..., :1], train=False)
    np.testing.assert_allclose(found, np.broadcast_to(x[..., :1], (2, 6, 6, 5)), atol=1e-6)


def test_a_strided_kernel_is_centred_on_the_pixel_that_the_shortcut_takes():
    block = ResidualBlock(1, strides=2)
    x = jnp.zeros((1, 8, 8, 1)).at[0, 4, 4, 0].set(1.0)
    variables = block.init(KEY, x, train=False)
    params = dict(variables["params"])
    centre = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    params |= {"Conv_0": {"kernel": centre}, "Conv_1": {"kernel": centre}}
    found = block.apply({**variables, "params": params}, x, train=False)[0, :, :, 0]
    assert np.flatnonzero(found).tolist() == [2 * 4 + 2]
    assert found[2, 2] == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("network", [ResNet(4, width=4, blocks=1), TwoBlockResNet(4)])
def test_float32_out_of_bfloat16_and_statistics_in_training(network):
    x = jax.random.normal(KEY, (3, 9, 7, 3))
    network = network.clone(dtype=jnp.bfloat16)

    @jax.jit
    def run(x):
        logits, variables = network.init_with_output(KEY, x, train=False)
        trained, wrote = network.apply(variables, x, train=True, mutable=["batch_stats"])
        return logits, variables, trained, wrote

    logits, variables, trained, wrote = run(x)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables, trained, wrote))} == {jnp.dtype(jnp.float32)}
    assert trained.shape == (3, 4)
    assert np.isfinite(trained).all()
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), wrote["batch_stats"], variables["batch_stats"])
    assert all(jax.tree.leaves(changed))
