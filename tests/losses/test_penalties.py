"""Penalties on slopes, for critics whose slopes are known."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.penalties import dragan, drift, gradient_penalty, r1, r2

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (64, 4, 4, 1))
FAKE = 2 + jax.random.normal(jax.random.key(2), (64, 4, 4, 1))
Mismatch = (ValueError, TypeError)  # jaxtyping's import hook is before the check


def linear(slope, x):
    """Slope everywhere of norm `slope`."""
    return slope * x.reshape(len(x), -1).sum(1) / 4


def quadratic(x):
    """Slope x at x."""
    return 0.5 * jnp.square(x).reshape(len(x), -1).sum(1)


def norms(x):
    return np.sqrt(np.square(np.asarray(x, np.float64)).reshape(len(x), -1).sum(1))


OF_A_SLOPE = {
    penalty: jax.jit(jax.value_and_grad(lambda s, p=penalty: p(partial(linear, s), REAL, FAKE, KEY)))
    for penalty in (gradient_penalty, dragan)
}


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("penalty", [gradient_penalty, dragan])
def test_of_a_linear_critic_at_every_point(penalty, slope):
    """Foster's value: (|w| - 1)^2 for every input; its derivative by the slope is finite where there is none."""
    value, change = OF_A_SLOPE[penalty](slope)
    assert value == pytest.approx((slope - 1) ** 2, abs=1e-5)
    assert jnp.isfinite(change)
    if slope:
        assert change == pytest.approx(2 * (slope - 1), abs=1e-4)


def test_one_sided_and_other_targets():
    for slope, wanted in ((0.5, 0), (3, 4)):
        found = gradient_penalty(partial(linear, slope), REAL, FAKE, KEY, one_sided=True)
        assert found == pytest.approx(wanted, abs=1e-5)
    assert gradient_penalty(partial(linear, 250.0), REAL, FAKE, KEY, target=750.0) == pytest.approx((2 / 3) ** 2)


def test_points_lie_between_the_pair_that_position_makes():
    seen = []

    def critic(x):
        jax.debug.callback(lambda points: seen.append(np.asarray(points)), x)
        return quadratic(x)

    value = gradient_penalty(critic, REAL, FAKE, KEY)
    jax.effects_barrier()
    t = (seen[0] - FAKE) / (REAL - FAKE)
    np.testing.assert_allclose(t, np.broadcast_to(t[:, :1, :1], t.shape), atol=1e-3)
    assert 0 <= t.min() < 0.1 < 0.9 < t.max() <= 1
    assert value == pytest.approx(np.square(norms(seen[0]) - 1).mean(), rel=1e-4)
    seen.clear()
    value = dragan(critic, REAL, FAKE, KEY)
    jax.effects_barrier()
    away = np.asarray(seen[0] - REAL) / float(REAL.std())
    assert 0 <= away.min() < 0.01 < 0.4 < away.max() <= 0.5
    assert value == pytest.approx(np.square(norms(seen[0]) - 1).mean(), rel=1e-4)


def test_r1_r2_and_drift():
    assert r1(quadratic, REAL, FAKE, KEY) == pytest.approx(np.square(norms(REAL)).mean() / 2, rel=1e-5)
    assert r2(quadratic, REAL, FAKE, KEY) == pytest.approx(np.square(norms(FAKE)).mean() / 2, rel=1e-5)
    assert drift(quadratic, REAL, FAKE, KEY) == pytest.approx(np.square(quadratic(REAL)).mean(), rel=1e-5)


def test_a_patch_critic_by_its_sum_or_its_mean():
    def patches(x):
        return jnp.broadcast_to(linear(2.0, x)[:, None, None], (len(x), 7, 7))

    assert gradient_penalty(patches, REAL, FAKE, KEY) == pytest.approx(1, rel=1e-5)
    for kind, slope in (("sum", 98), ("mean", 2)):
        assert r1(patches, REAL, FAKE, KEY, patches=kind) == pytest.approx(slope**2 / 2, rel=1e-5)
        assert gradient_penalty(patches, REAL, FAKE, KEY, patches=kind) == pytest.approx((slope - 1) ** 2, rel=1e-5)


def test_interpolation_needs_pairs():
    with pytest.raises(Mismatch):
        gradient_penalty(quadratic, REAL, FAKE[:1], KEY)
