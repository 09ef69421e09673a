from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.reconstruction import mean_absolute_error, psnr


def test_the_mean_absolute_error_is_over_everything():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    found = mean_absolute_error(jnp.asarray(x), jnp.asarray(y))
    assert found.shape == ()
    assert float(found) == pytest.approx(sum(abs(a - b) for a, b in zip(x.flat, y.flat, strict=True)) / 120, rel=1e-5)


@pytest.mark.parametrize("loss", [mean_absolute_error, psnr])
def test_it_refuses_to_broadcast(loss):
    with pytest.raises(ValueError, match=r"images \(4, 1\), targets \(4,\)"):
        loss(jnp.zeros((4, 1)), jnp.zeros(4))


def test_a_tenth_is_20_dB_and_nothing_100():
    images = jnp.full((2, 4, 3, 1), 0.5)
    np.testing.assert_allclose(psnr(images + jnp.array([0.1, 0.0])[:, None, None, None], images), [20, 100], rtol=1e-5)
