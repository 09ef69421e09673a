import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.fusion import Fuse
from gdl_jax.layers.minibatch import MinibatchDiscrimination
from gdl_jax.layers.normalisation import BatchNorm, ConditionalBatchNorm

KEY = jax.random.key(0)


def test_minibatch_discrimination_against_numpy():
    x = jax.random.normal(KEY, (5, 7))
    layer = MinibatchDiscrimination(3, kernel_dim=2)
    found, variables = layer.init_with_output(KEY, x)
    rows = (np.asarray(x) @ np.asarray(variables["params"]["Dense_0"]["kernel"])).reshape(5, 3, 2)
    wanted = np.array(
        [[sum(np.exp(-abs(rows[i, b] - rows[j, b]).sum()) for j in range(5)) for b in range(3)] for i in range(5)]
    )
    np.testing.assert_allclose(found, np.concatenate([x, wanted], 1), rtol=1e-4)
    # Where all are alike, all are as near as can be.
    same = layer.apply(variables, jnp.broadcast_to(x[:1], x.shape))
    np.testing.assert_allclose(same[:, 7:], 5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["concat", "add", "multiply", "film"])
def test_fusion(mode):
    x, e = jax.random.normal(KEY, (2, 3, 3, 4)), jax.random.normal(jax.random.key(1), (2, 5))
    found, variables = Fuse(mode).init_with_output(KEY, x, e)
    layers = [layer["kernel"] for layer in variables.get("params", {}).values()]
    wide = [np.asarray(e @ kernel)[:, None, None] for kernel in layers]
    everywhere = np.broadcast_to(np.asarray(e)[:, None, None], (2, 3, 3, 5))
    x = np.asarray(x)
    wanted = {
        "concat": lambda: np.concatenate([x, everywhere], -1),
        "add": lambda: x + wide[0],
        "multiply": lambda: x * wide[0],
        "film": lambda: x * (1 + wide[0]) + wide[1],
    }[mode]()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_conditional_batch_norm_scales_each_image_as_its_class():
    x, labels = jax.random.normal(KEY, (4, 2, 2, 3)), jnp.array([0, 2, 2, 1])
    layer = ConditionalBatchNorm(3)
    variables = layer.init(KEY, x, labels, train=False)
    scale, bias = (jnp.asarray(np.random.default_rng(i).normal(size=(3, 3)), jnp.float32) for i in range(2))
    assert variables["params"]["scale"].shape == variables["params"]["bias"].shape == (3, 3)
    plain = BatchNorm(affine=False)
    statistics = plain.init(KEY, x, train=False)
    assert set(statistics) == {"batch_stats"}
    normal, wrote = plain.apply(statistics, x, train=True, mutable=["batch_stats"])
    found, also = layer.apply(
        variables | {"params": {"scale": scale, "bias": bias}}, x, labels, train=True, mutable=["batch_stats"]
    )
    wanted = np.asarray(normal) * np.asarray(scale)[labels][:, None, None] + np.asarray(bias)[labels][:, None, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, wrote["batch_stats"], also["batch_stats"]["BatchNorm_0"])
