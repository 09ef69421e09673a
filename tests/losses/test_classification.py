from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.classification import softmax_cross_entropy

LOGITS = jax.random.normal(jax.random.key(0), (6, 4)) * 3
LABELS = jnp.array([0, 3, 1, 2, 2, 0])


def reference(logits, labels, smoothing):
    found = []
    for row, label in zip(np.asarray(logits, np.float64), labels.tolist(), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        q = [(1 - smoothing) * (k == label) + smoothing / len(row) for k in range(len(row))]
        found.append(-sum(a * math.log(b) for a, b in zip(q, p, strict=True)))
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_against_a_loop(smoothing):
    found = softmax_cross_entropy(LOGITS, LABELS, label_smoothing=smoothing)
    assert found.shape == (6,)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, reference(LOGITS, LABELS, smoothing), rtol=1e-5)


def test_closed_forms():
    # Equal logits: ln of the number of classes, whatever the smoothing.
    np.testing.assert_allclose(softmax_cross_entropy(jnp.full((6, 4), 7.0), LABELS, label_smoothing=0.3), math.log(4))
    # A sigmoid before the softmax leaves the logits in (0, 1), and the loss above ln(e + 9) - 1 for ten classes.
    best = softmax_cross_entropy(jax.nn.one_hot(jnp.array([5]), 10), jnp.array([5]))
    assert best[0] == pytest.approx(1.4612, abs=5e-5)
    # Logits that overflow an exponential.
    np.testing.assert_allclose(softmax_cross_entropy(jnp.array([[1e4, 0.0]]), jnp.array([1])), 1e4)
    np.testing.assert_allclose(softmax_cross_entropy(jnp.array([[1e4, 0.0]]), jnp.array([0])), 0)


def test_gradient_is_softmax_minus_target():
    gradient = jax.grad(lambda x: softmax_cross_entropy(x, LABELS, label_smoothing=0.2).sum())(LOGITS)
    target = 0.8 * np.eye(4)[np.asarray(LABELS)] + 0.05
    np.testing.assert_allclose(gradient, jax.nn.softmax(LOGITS) - target, atol=1e-6)


def test_bfloat16_logits_are_added_up_in_float32():
    found = softmax_cross_entropy(LOGITS.astype(jnp.bfloat16), LABELS)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, softmax_cross_entropy(LOGITS, LABELS), atol=0.05)


@pytest.mark.parametrize("labels", [LABELS[:5], LABELS[:, None], LABELS[:1]])
def test_not_one_label_per_row(labels):
    with pytest.raises(ValueError, match="Shapes must be equal"):
        softmax_cross_entropy(LOGITS, labels)
