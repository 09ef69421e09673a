from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.steps.optimizers import Adam


@pytest.fixture(autouse=True)
def promotion():
    """Optax's own: it raises a float to an int32 power."""
    with jax.numpy_dtype_promotion("standard"):
        yield


GRADIENTS = [np.array([0.3, -2.0, 1e-3]), np.array([-0.1, 0.5, 4.0]), np.array([1.0, 1.0, -1.0])]


def adam(gradients, *, lr, b1, b2, eps):
    """Kingma and Ba 2015, algorithm 1: the updates, one per gradient, and the last moments."""
    m = v = np.zeros(3)
    updates = []
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        updates.append(-lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps))
    return updates, m, v


@pytest.mark.parametrize("interval", [1, 2, 4, 16])
def test_updates_and_moments_with_the_correction_for_lazy_phases(interval):
    c = 1.0 if interval == 1 else interval / (interval + 1)
    settings = Adam(learning_rate=3e-3, b1=0.5, b2=0.99, eps=1e-6)
    optimizer = settings.build(interval)
    state = optimizer.init(jnp.zeros(3))
    wanted, m, v = adam(GRADIENTS, lr=3e-3 * c, b1=0.5**c, b2=0.99**c, eps=1e-6)
    for gradient, update in zip(GRADIENTS, wanted, strict=True):
        found, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state)
        np.testing.assert_allclose(found, update, rtol=1e-4)
    moments = next(s for s in state if isinstance(s, optax.ScaleByAdamState))
    np.testing.assert_allclose(moments.mu, m, rtol=1e-5)
    np.testing.assert_allclose(moments.nu, v, rtol=1e-4)
    assert int(moments.count) == 3


def test_a_momentum_of_zero_stays_zero():
    optimizer = Adam(b1=0.0).build(4)
    _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.zeros(3)))
    np.testing.assert_array_equal(state[0].mu, 1.0)


def test_defaults_are_the_papers_but_for_the_gans_learning_rate():
    assert (Adam().b1, Adam().b2, Adam().eps, Adam().learning_rate) == (0.9, 0.999, 1e-8, 2e-4)
