"""Pooling against loops, unpooling as its inverse, and the counts of J08."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.networks.pooling_autoencoder import PoolingEncoder, UnpoolingDecoder, max_pool, unpool
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 4, 6, 3))


def test_pooling_against_a_loop():
    pooled, switches = max_pool(X)
    for batch, row, column, channel in np.ndindex(2, 2, 3, 3):
        window = np.asarray(X)[batch, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
        assert pooled[batch, row, column, channel] == window.max()
        assert switches[batch, row, column, channel] == window.argmax()


def test_unpooling_by_switches_puts_each_maximum_back():
    pooled, switches = max_pool(X)
    restored = np.asarray(unpool(pooled, "switch", switches))
    assert restored.shape == X.shape
    kept = restored != 0
    assert kept.sum() == pooled.size
    np.testing.assert_array_equal(restored[kept], np.asarray(X)[kept])
    again, there = max_pool(jnp.where(kept, restored, -jnp.inf))
    np.testing.assert_array_equal(again, pooled)
    np.testing.assert_array_equal(there, switches)


def test_the_other_unpoolings():
    pooled, _ = max_pool(X)
    corner = np.asarray(unpool(pooled, "corner"))
    np.testing.assert_array_equal(corner[:, ::2, ::2], pooled)
    assert np.count_nonzero(corner) == pooled.size
    repeated = np.asarray(unpool(pooled, "repeat"))
    for row, column in np.ndindex(2, 2):
        np.testing.assert_array_equal(repeated[:, row::2, column::2], pooled)


def test_slopes_go_to_the_maximum_alone():
    slope = jax.grad(lambda x: max_pool(x)[0].sum())(X)
    pooled, switches = max_pool(X)
    np.testing.assert_array_equal(slope, unpool(jnp.ones_like(pooled), "switch", switches))


def test_unpooling_without_its_switches():
    pooled, switches = max_pool(X)
    with pytest.raises(ValueError, match="a switch per value"):
        unpool(pooled, "switch")
    with pytest.raises(ValueError, match="a switch per value"):
        unpool(pooled, "switch", switches[:, :1])


# Of J08's table: 3x3 convolutions 1 -> 16 -> 8, Dense 392 -> d; Dense d -> 392, 8 -> 8 -> 16 -> 1.
@pytest.mark.parametrize("latent", [2, 32])
@pytest.mark.parametrize("unpooling", ["repeat", "corner", "switch"])
def test_counts_and_shapes_of_jiangs_table(latent, unpooling):
    encoder = PoolingEncoder(latent, return_switches=unpooling == "switch")
    decoder = UnpoolingDecoder(unpooling=unpooling)
    x = jax.ShapeDtypeStruct((5, 28, 28, 1), jnp.float32)
    codes, seen = jax.eval_shape(partial(encoder.init_with_output, train=True), KEY, x)
    assert [code.shape for code in codes] == [(5, latent), (5, 14, 14, 16), (5, 7, 7, 8)][: len(codes)]
    assert len(codes) == (3 if unpooling == "switch" else 1)
    assert count(seen["params"]) == 160 + 1160 + 392 * latent + latent
    out, made = jax.eval_shape(partial(decoder.init_with_output, train=True), KEY, *codes)
    assert out.shape == (5, 28, 28, 1)
    assert count(made["params"]) == 392 * latent + 392 + 584 + 1168 + 145


def test_a_code_that_is_the_small_image_itself():
    encoder = PoolingEncoder(None, (16, 4))
    (code,), variables = encoder.init_with_output(KEY, jnp.ones((2, 32, 32, 3)), train=False)
    assert code.shape == (2, 256)
    assert count(variables["params"]) == 1028  # LA09


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_out_of_any_compute_dtype(dtype):
    encoder = PoolingEncoder(3, (4, 2), return_switches=True, dtype=dtype)
    decoder = UnpoolingDecoder((2, 2, 2), (2, 4, 1), "switch", dtype=dtype)

    @jax.jit
    def run(x):
        codes, e = encoder.init_with_output(KEY, x, train=True)
        out, d = decoder.init_with_output(KEY, *codes, train=True)
        return codes[0], out, e, d

    results = run(jax.random.uniform(KEY, (3, 8, 8, 1)))
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {jnp.dtype(jnp.float32)}
    assert results[1].shape == (3, 8, 8, 1)
