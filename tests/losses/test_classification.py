from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.classification import fast_gradient_sign, softmax_cross_entropy

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


@pytest.fixture
def linear():
    k_weights, k_images = jax.random.split(jax.random.key(0))
    weights = jax.random.normal(k_weights, (12, 4))
    images = jax.random.uniform(k_images, (5, 2, 6, 1))
    return lambda x: x.reshape(len(x), -1) @ weights, weights, images, jnp.array([0, 1, 2, 3, 0])


def test_the_fast_gradient_sign_of_a_linear_classifier(linear):
    classify, weights, images, labels = linear
    moved = fast_gradient_sign(classify, images, labels, 0.1)
    # The slope of the cross-entropy is W (p - q).
    slope = (jax.nn.softmax(classify(images)) - jax.nn.one_hot(labels, 4)) @ weights.T
    np.testing.assert_allclose(moved - images, 0.1 * jnp.sign(slope).reshape(images.shape), atol=1e-6)
    before, after = (softmax_cross_entropy(classify(x), labels) for x in (images, moved))
    assert (after > before).all()


def test_the_fast_gradient_sign_cut_to_a_range(linear):
    classify, _, images, labels = linear
    free = fast_gradient_sign(classify, images, labels, 0.3)
    cut = fast_gradient_sign(classify, images, labels, 0.3, image_range=(0.0, 1.0))
    assert float(free.min()) < 0 < 1 < float(free.max())
    np.testing.assert_array_equal(cut, jnp.clip(free, 0, 1))
