import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdl_jax.steps.minimize import minimize


def test_descent_of_a_parabola_by_hand():
    found = minimize(lambda p, _: 0.5 * jnp.square(p), jnp.float32(8), optax.sgd(0.5), 3, keep=lambda p: 10 * p)
    assert float(found.params) == 1
    np.testing.assert_array_equal(found.losses, [32, 8, 2])
    np.testing.assert_array_equal(found.kept, [80, 40, 20])


def test_a_loss_may_depend_on_the_step():
    found = minimize(lambda p, step: p * jnp.float32(step), jnp.float32(0), optax.sgd(1.0), 4)
    assert float(found.params) == -(0 + 1 + 2 + 3)


def test_states_of_the_optimizer_are_carried():
    found = minimize(lambda p, _: p, jnp.float32(0), optax.sgd(1.0, momentum=0.5), 3)
    assert float(found.params) == -(1 + 1.5 + 1.75)


@jax.numpy_dtype_promotion("standard")  # optax raises floats to int32 powers
def test_learning_rates_at_once():
    rates = jnp.array([0.1, 0.5])
    run = jax.vmap(lambda rate: minimize(lambda p, _: 0.5 * jnp.square(p), jnp.float32(1), optax.adam(rate), 1).params)
    np.testing.assert_allclose(run(rates), 1 - rates, rtol=1e-5)
