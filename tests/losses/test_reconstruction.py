from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.reconstruction import mean_absolute_error


def test_the_mean_absolute_error_is_over_everything():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    found = mean_absolute_error(jnp.asarray(x), jnp.asarray(y))
    assert found.shape == ()
    assert float(found) == pytest.approx(sum(abs(a - b) for a, b in zip(x.flat, y.flat, strict=True)) / 120, rel=1e-5)


def test_it_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r"images \(4, 1\), targets \(4,\)"):
        mean_absolute_error(jnp.zeros((4, 1)), jnp.zeros(4))
