import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.models.perceptron import delta_rule, neuron

XOR = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_TARGETS = jnp.array([0.0, 1.0, 1.0, 0.0])
FIVE = jnp.array([[1.0, 2, 3], [3, 4, 5], [5, 6, 7], [7, 8, 9], [9, 8, 7]])


def test_xor_ends_in_its_limit_cycle_from_any_start():
    starts = jax.random.uniform(jax.random.key(0), (4, 3), minval=-2, maxval=2)
    learn = jax.jit(jax.vmap(lambda w: delta_rule(w, XOR, XOR_TARGETS, learning_rate=0.1, epochs=3000)))
    weights, errors = learn(starts)
    np.testing.assert_allclose(weights, np.tile([5 / 9, -1 / 9, -1 / 18], (4, 1)), atol=1e-5)
    np.testing.assert_allclose(errors[:, -4:], np.full((4, 4), 25 / 81), rtol=1e-4)


def test_five_points_give_the_trajectory_of_the_text():
    weights, errors = delta_rule(
        jnp.zeros(4), FIVE, jnp.arange(1.0, 6.0), learning_rate=0.01, epochs=50, activation=jax.nn.relu
    )
    wanted = [1, 2.9929, 1.72265625, 0.023126805625, 1.69022945778806, 0.438850903182442, 1.08647448108998]
    wanted += [0.547358178746834, 0.0140739386630584, 0.806173118252477]
    np.testing.assert_allclose(errors[:10], wanted, rtol=1e-3)
    assert errors.shape == (250,)
    np.testing.assert_allclose(errors[-1], 0.01508061446819735, rtol=1e-3)
    np.testing.assert_allclose(weights, [0.04954208, 0.44058487, 0.19027051, -0.06004385], atol=1e-5)
    predictions = [neuron(weights, point, jax.nn.relu) for point in FIVE]
    np.testing.assert_allclose(predictions, [0.69054, 1.83216, 2.97378, 4.11541, 5.11666], atol=1e-4)
    np.testing.assert_allclose(neuron(weights, jnp.full(3, 3.0), jax.nn.relu), 1.7619766554398972, rtol=1e-5)
