from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.steps.state import NetworkState, TrainState, init_network


class Small(nn.Module):
    """A dense layer with batch norm, which has statistics."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))


X = np.ones((4, 2), np.float32)


@pytest.fixture(scope="module", params=["eager", "jit"])
def states(request):
    def init(key):
        trained = init_network(Small(), key, X, optimizer=optax.adam(1e-3), averaged=True, train=False)
        return TrainState.create({"trained": trained, "frozen": init_network(Small(), key, X, train=False)})

    return (jax.jit(init) if request.param == "jit" else init)(jax.random.key(0))


def test_the_state_before_the_first_step(states):
    assert states.step.dtype == jnp.int32
    assert states.step.shape == ()
    assert int(states.step) == 0
    assert states.extra == {}
    assert TrainState.create({}, {"p": jnp.ones(())}).extra["p"] == 1


def test_params_and_collections_are_apart(states):
    network = states.networks["trained"]
    assert set(network.params) == {"Dense_0", "BatchNorm_0"}
    assert set(network.collections) == {"batch_stats"}
    wanted = Small().init(jax.random.key(0), X, train=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), network.variables(), dict(wanted))


def test_optimiser_states_are_of_trained_networks_only(states):
    moments = states.networks["trained"].opt_state[0]
    assert jax.tree.map(jnp.shape, moments.mu) == jax.tree.map(jnp.shape, states.networks["trained"].params)
    assert states.networks["frozen"].opt_state == ()
    assert states.networks["frozen"].ema is None


def test_the_average_starts_as_a_copy_in_buffers_of_its_own(states):
    network = states.networks["trained"]
    jax.tree.map(np.testing.assert_array_equal, network.ema, network.params)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(states)]
    assert len(set(pointers)) == len(pointers)


def test_such_a_state_can_be_donated(states):
    state = jax.tree.map(jnp.copy, states)
    new = jax.jit(lambda s: s.replace(step=s.step + 1), donate_argnums=0)(state)
    assert int(new.step) == 1
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_variables_take_other_params_and_averaged_prefers_the_average():
    network = NetworkState({"w": 1}, {"batch_stats": {"m": 2}}, (), {"w": 3})
    assert network.variables() == {"params": {"w": 1}, "batch_stats": {"m": 2}}
    assert network.variables({"w": 5}) == {"params": {"w": 5}, "batch_stats": {"m": 2}}
    assert network.averaged() == {"params": {"w": 3}, "batch_stats": {"m": 2}}
    assert network.replace(ema=None).averaged() == network.variables()


def test_a_network_without_parameters():
    class Nothing(nn.Module):
        def __call__(self, x):
            return x

    network = init_network(Nothing(), jax.random.key(0), X)
    assert network == NetworkState({}, {}, (), None)
    np.testing.assert_array_equal(Nothing().apply(network.variables(), X), X)
