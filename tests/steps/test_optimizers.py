from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.steps.optimizers import Optimizer


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
    settings = Optimizer(learning_rate=3e-3, b1=0.5, b2=0.99, eps=1e-6)
    optimizer = settings.build(interval)
    state = optimizer.init(jnp.zeros(3))
    wanted, m, v = adam(GRADIENTS, lr=3e-3 * c, b1=0.5**c, b2=0.99**c, eps=1e-6)
    for gradient, update in zip(GRADIENTS, wanted, strict=True):
        found, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, jnp.zeros(3))
        np.testing.assert_allclose(found, update, rtol=1e-4)
    moments = next(s for s in state if isinstance(s, optax.ScaleByAdamState))
    np.testing.assert_allclose(moments.mu, m, rtol=1e-5)
    np.testing.assert_allclose(moments.nu, v, rtol=1e-4)
    assert int(moments.count) == 3


def test_a_momentum_of_zero_stays_zero():
    optimizer = Optimizer(b1=0.0).build(4)
    _, state = optimizer.update(jnp.ones(3), optimizer.init(jnp.zeros(3)), jnp.zeros(3))
    np.testing.assert_array_equal(state[0].mu, 1.0)


def updates_of(settings, gradients, params):
    optimizer = settings.build()
    state, found = optimizer.init(params), []
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        found.append(updates)
    return found


def test_adam_by_default():
    wanted, _, _ = adam(GRADIENTS, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8)
    found = updates_of(Optimizer(), [jnp.asarray(g, jnp.float32) for g in GRADIENTS], jnp.zeros(3))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_stochastic_gradient_descent(momentum):
    settings = Optimizer(rule="sgd", learning_rate=0.1, b1=momentum)
    found = updates_of(settings, [jnp.asarray(g, jnp.float32) for g in GRADIENTS], jnp.zeros(3))
    velocity = np.zeros(3)
    for gradient, update in zip(GRADIENTS, found, strict=True):
        velocity = momentum * velocity + gradient
        np.testing.assert_allclose(update, -0.1 * velocity, rtol=1e-5)


def test_rmsprop_with_epsilon_outside_the_root():
    settings = Optimizer(rule="rmsprop", learning_rate=0.1, b2=0.99, eps=1e-3)
    square = np.zeros(3)
    for g, update in zip(
        GRADIENTS, updates_of(settings, [jnp.asarray(g, jnp.float32) for g in GRADIENTS], jnp.zeros(3)), strict=True
    ):
        square = 0.99 * square + 0.01 * g * g
        np.testing.assert_allclose(update, -0.1 * g / (np.sqrt(square) + 1e-3), rtol=1e-4)


def test_optimistic_adam_is_twice_this_step_minus_the_last():
    """Daskalakis et al. 2018, algorithm 1."""
    plain, _, _ = adam(GRADIENTS, lr=0.1, b1=0.5, b2=0.9, eps=1e-8)
    settings = Optimizer(rule="optimistic_adam", learning_rate=0.1, b1=0.5, b2=0.9)
    found = updates_of(settings, [jnp.asarray(g, jnp.float32) for g in GRADIENTS], jnp.zeros(3))
    for i, update in enumerate(found):
        np.testing.assert_allclose(update, 2 * plain[i] - plain[max(i - 1, 0)], rtol=1e-4)


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_weight_decay_is_decoupled_and_of_kernels_alone(rule):
    norms = {"scale": jnp.full((4, 3), 5.0), "bias": jnp.full((4, 3), 5.0)}
    params = {"kernel": jnp.full((2, 3), 5.0), "bias": jnp.full(3, 5.0), "ConditionalBatchNorm_0": norms}
    gradients = [jax.tree.map(jnp.ones_like, params)] * 2
    settings = {"rule": rule, "learning_rate": 0.1, "warmup_steps": 2}
    plain = updates_of(Optimizer(**settings), gradients, params)
    decayed = updates_of(Optimizer(**settings, weight_decay=0.3), gradients, params)
    for rate, with_it, without in zip((0.0, 0.05), decayed, plain, strict=True):
        np.testing.assert_allclose(with_it["kernel"] - without["kernel"], -rate * 0.3 * 5, atol=1e-6)
        for name in ("bias", "ConditionalBatchNorm_0"):
            jax.tree.map(np.testing.assert_array_equal, with_it[name], without[name])


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_coupled_weight_decay_is_part_of_the_gradient(rule):
    params = {"kernel": jnp.full((2, 3), 5.0), "bias": jnp.full(3, 5.0)}
    gradients = [{name: jnp.full_like(x, g) for name, x in params.items()} for g in (1.0, -2.0)]
    penalised = [{"kernel": g["kernel"] + 0.3 * 5, "bias": g["bias"]} for g in gradients]
    settings = {"rule": rule, "learning_rate": 0.1}
    found = updates_of(Optimizer(**settings, weight_decay=0.3, decoupled=False), gradients, params)
    wanted = updates_of(Optimizer(**settings), penalised, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, wanted)


def test_learning_rates():
    steps = range(12)
    assert {float(Optimizer(learning_rate=0.5).schedule()(step)) for step in steps} == {0.5}
    rising = Optimizer(learning_rate=0.5, warmup_steps=4).schedule()
    np.testing.assert_allclose([rising(step) for step in steps], [min(1, step / 4) * 0.5 for step in steps], rtol=1e-6)
    both = Optimizer(learning_rate=0.5, warmup_steps=4, cosine_steps=10).schedule()
    falling = [0.25 * (1 + np.cos(np.pi * min(step - 4, 6) / 6)) for step in steps]
    wanted = [step / 4 * 0.5 if step < 4 else falling[step] for step in steps]
    np.testing.assert_allclose([both(step) for step in steps], wanted, atol=1e-6)
    assert float(both(10)) == float(both(11)) == 0
    line = Optimizer(learning_rate=0.5, linear_steps=10).schedule()
    np.testing.assert_allclose([line(step) for step in steps], [max(0, 0.5 - step / 20) for step in steps], atol=1e-7)
    stairs = Optimizer(learning_rate=0.5, warmup_steps=2, drop_steps=(5, 9)).schedule()
    wanted = [0, 0.25, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05, 0.005, 0.005, 0.005]
    np.testing.assert_allclose([stairs(step) for step in steps], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0.0}, "--learning-rate is 0.0; it has to be above 0."),
        ({"learning_rate": float("inf")}, "--learning-rate is inf"),
        ({"b1": 1.0}, "--b1 is 1.0; it has to be from 0 to below 1."),
        ({"b2": -0.1}, "--b2 is -0.1"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0; it has to be 0 or more."),
        ({"weight_decay": float("nan")}, "--weight-decay is nan"),
        ({"warmup_steps": -1}, "--warmup-steps is -1"),
        ({"warmup_steps": 5, "cosine_steps": 5}, "--cosine-steps is 5; it has to be 0, or above the 5 of"),
        ({"cosine_steps": -5}, "--cosine-steps is -5"),
        ({"warmup_steps": 5, "linear_steps": 5}, "--linear-steps is 5"),
        ({"cosine_steps": 5, "linear_steps": 5}, "exclude each other"),
        ({"linear_steps": 9, "drop_steps": (5,)}, "--linear-steps and --drop-steps exclude"),
        ({"drop_steps": (5, 5)}, "--drop-steps is 5 5; the steps have to ascend, from above the 0 of"),
        ({"warmup_steps": 5, "drop_steps": (5, 8)}, "from above the 5 of --warmup-steps"),
    ],
)
def test_impossible_settings(settings, sentence):
    with pytest.raises(UsageError) as caught:
        Optimizer(**settings)
    assert sentence in str(caught.value)
