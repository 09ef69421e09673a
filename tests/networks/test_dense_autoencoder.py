"""Shapes, dtypes and the parameter counts of the texts."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy import special

from gdl_jax.networks.dense_autoencoder import DenseDecoder, DenseEncoder
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)


def dense(*sizes):
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


# The counts of LA07 are the text's; the others are of the sizes in the tables.
@pytest.mark.parametrize(
    ("latent", "heads", "hidden", "wanted"),
    [
        (3, 1, (128, 64, 12), (109_555, 110_336)),  # LA07
        (2, 1, (1000, 500, 250), (dense(784, 1000, 500, 250, 2), dense(2, 250, 500, 1000, 784))),  # J06
        (500, 1, (), (dense(784, 500), dense(500, 784))),  # J09
        (20, 2, (500,), (dense(784, 500) + 2 * dense(500, 20), dense(20, 500, 784))),  # S10
    ],
)
def test_shapes_and_parameter_counts(latent, heads, hidden, wanted):
    encoder, decoder = DenseEncoder(latent, heads, hidden), DenseDecoder((28, 28, 1), hidden[::-1])
    x = jax.ShapeDtypeStruct((5, 28, 28, 1), jnp.float32)
    codes, seen = jax.eval_shape(partial(encoder.init_with_output, train=True), KEY, x)
    assert [code.shape for code in codes] == [(5, latent)] * heads
    out, made = jax.eval_shape(partial(decoder.init_with_output, train=True), KEY, codes[0])
    assert out.shape == (5, 28, 28, 1)
    assert (count(seen["params"]), count(made["params"])) == wanted


def test_activations():
    x = jax.random.normal(KEY, (4, 2, 2, 1))
    flat = np.asarray(x).reshape(4, -1)
    encoder = DenseEncoder(3, 1, (), code_activation=nn.sigmoid)
    (code,), variables = encoder.init_with_output(KEY, x, train=False)
    only = jax.device_get(variables["params"]["Dense_0"])
    np.testing.assert_allclose(code, special.expit(flat @ only["kernel"] + only["bias"]), rtol=1e-5)
    encoder = DenseEncoder(3, 1, (5,), activation=nn.tanh)
    (code,), variables = encoder.init_with_output(KEY, x, train=False)
    hidden, last = (
        jax.device_get(p) for p in (variables["params"]["MLP_0"]["Dense_0"], variables["params"]["Dense_0"])
    )
    wanted = np.tanh(flat @ hidden["kernel"] + hidden["bias"]) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(code, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_out_of_any_compute_dtype(dtype):
    encoder, decoder = DenseEncoder(2, 2, (4,), dtype=dtype), DenseDecoder((4, 4, 1), (4,), dtype=dtype)
    (mean, log_variance), e = encoder.init_with_output(KEY, jnp.ones((3, 4, 4, 1)), train=True)
    out, d = decoder.init_with_output(KEY, mean, train=True)
    assert {leaf.dtype for leaf in jax.tree.leaves((mean, log_variance, out, e, d))} == {jnp.dtype(jnp.float32)}
