import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.classification import softmax_cross_entropy
from gdl_jax.models.fast_gradient_sign import fast_gradient_sign


@pytest.fixture
def problem():
    k_weights, k_images = jax.random.split(jax.random.key(0))
    weights = jax.random.normal(k_weights, (12, 4))
    images = jax.random.uniform(k_images, (5, 2, 6, 1))
    return lambda x: x.reshape(len(x), -1) @ weights, weights, images, jnp.array([0, 1, 2, 3, 0])


def test_a_linear_classifier(problem):
    classify, weights, images, labels = problem
    moved = fast_gradient_sign(classify, images, labels, 0.1)
    # The slope of the cross-entropy is W (p - q).
    slope = (jax.nn.softmax(classify(images)) - jax.nn.one_hot(labels, 4)) @ weights.T
    np.testing.assert_allclose(moved - images, 0.1 * jnp.sign(slope).reshape(images.shape), atol=1e-6)
    before, after = (softmax_cross_entropy(classify(x), labels) for x in (images, moved))
    assert (after > before).all()


def test_cut(problem):
    classify, _, images, labels = problem
    free = fast_gradient_sign(classify, images, labels, 0.3)
    cut = fast_gradient_sign(classify, images, labels, 0.3, image_range=(0.0, 1.0))
    assert float(free.min()) < 0 < 1 < float(free.max())
    np.testing.assert_array_equal(cut, jnp.clip(free, 0, 1))
