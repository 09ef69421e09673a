from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.ema import update_ema, warmed_up
from gdl_jax.steps.state import NetworkState, TrainState


@pytest.fixture
def state():
    keys = jax.random.split(jax.random.key(0), 4)
    params, ema = ({"a": jax.random.normal(k, (3, 2)), "b": {"c": jax.random.normal(k, (5,))}} for k in keys[:2])
    averaged = NetworkState(params, {"batch_stats": {"mean": jnp.ones(2)}}, (), ema)
    plain = NetworkState({"w": jnp.ones(4)}, {}, (), None)
    return TrainState.create({"averaged": averaged, "plain": plain}).replace(step=jnp.int32(1_000_000))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999, "traced"])
def test_the_formula(state, decay):
    if decay == "traced":
        decay, new = 0.9, jax.jit(update_ema)(state, jnp.float32(0.9))
    else:
        new = update_ema(state, decay)
    before = state.networks["averaged"]
    wanted = jax.tree.map(lambda e, p: decay * np.float64(e) + (1 - decay) * np.float64(p), before.ema, before.params)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), new.networks["averaged"].ema, wanted
    )


def test_nothing_else_changes(state):
    new = update_ema(state, 0.3)
    restored = new.networks["averaged"].replace(ema=state.networks["averaged"].ema)
    for a, b in ((restored, state.networks["averaged"]), (new.networks["plain"], state.networks["plain"])):
        assert jax.tree.structure(a) == jax.tree.structure(b)
        jax.tree.map(np.testing.assert_array_equal, a, b)
    assert new.networks["plain"].ema is None


def test_many_updates_against_the_closed_form(state):
    """With constant parameters p: p + decay^n (ema_0 - p)."""
    new = jax.jit(lambda s: jax.lax.fori_loop(0, 50, lambda _, s: update_ema(s, 0.95), s))(state)
    before = state.networks["averaged"]
    wanted = jax.tree.map(lambda e, p: p + 0.95**50 * (e - p), before.ema, before.params)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), new.networks["averaged"].ema, wanted
    )


def test_the_average_of_few_steps_is_of_few_parameters(state):
    """After the first step nine tenths of it are new; a decay that is reached stays."""
    new, before = (s.networks["averaged"] for s in (update_ema(state.replace(step=jnp.int32(1)), 0.999), state))
    wanted = jax.tree.map(lambda e, p: 0.1 * e + 0.9 * p, before.ema, before.params)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), new.ema, wanted)
    steps = jnp.asarray([0, 1, 9, 81, 8_991, 100_000])
    np.testing.assert_allclose(warmed_up(0.999, steps), [0, 0.1, 0.5, 0.9, 0.999, 0.999], rtol=1e-6)
