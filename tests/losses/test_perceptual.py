from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.perceptual import feature_perceptual_loss


def maps(seed):
    shapes = [(3, 4, 4, 2), (3, 2, 2, 5)]
    return [jax.random.normal(jax.random.key(seed + i), shape) for i, shape in enumerate(shapes)]


def test_against_numpy():
    """Hou et al. 2017: each layer over twice its size."""
    found, wanted = maps(0), maps(10)
    loss = sum(
        np.square(np.asarray(a - b)).sum((1, 2, 3)) / (2 * a[0].size) for a, b in zip(found, wanted, strict=True)
    )
    np.testing.assert_allclose(feature_perceptual_loss(found, wanted), loss, rtol=1e-5)
    np.testing.assert_array_equal(feature_perceptual_loss(found, found), np.zeros(3))


def test_a_layer_weighs_the_same_whatever_its_size():
    ones = [jnp.ones((2, size, size, 3)) for size in (2, 8)]
    zeros = [jnp.zeros_like(x) for x in ones]
    np.testing.assert_allclose(feature_perceptual_loss(ones[:1], zeros[:1]), 0.5)
    np.testing.assert_allclose(feature_perceptual_loss(ones[1:], zeros[1:]), 0.5)
    np.testing.assert_allclose(feature_perceptual_loss(ones, zeros), 1.0)


def test_layers_that_do_not_belong_together():
    with pytest.raises((ValueError, TypeError)):
        feature_perceptual_loss(maps(0), maps(0)[:1])
    with pytest.raises((ValueError, TypeError)):
        feature_perceptual_loss([jnp.zeros((3, 1, 1, 2))], [jnp.zeros((3, 4, 4, 2))])
