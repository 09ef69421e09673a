import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.models.regression import Examples, Regressor, fit, squared_error
from gdl_jax.networks.summary import count

NETWORK = Regressor((4,), (nn.tanh,))
TRAIN = Examples(jnp.linspace(-1, 1, 6)[:, None], jnp.linspace(-1, 1, 6) ** 2)
TEST = Examples(jnp.array([[0.5]]), jnp.array([0.25]))


@pytest.fixture(autouse=True)
def promotion():
    """Optax's own: it raises a float to an int32 power."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize(
    ("inputs", "features", "parameters"),
    [(2, (10,), 41), (13, (50, 50, 50), 5851), (1, (50, 50, 50), 5251), (1, (20, 20), 481)],
)
def test_parameter_counts_of_the_text(inputs, features, parameters):
    network = Regressor(features, (nn.relu,) * len(features))
    found = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, inputs)))
    assert count(found["params"]) == parameters


def test_first_parameters_are_uniform_up_to_one_over_the_root_of_the_fan_in():
    params = Regressor((400,), (nn.relu,)).init(jax.random.key(0), jnp.zeros((1, 16)))["params"]
    for i, bound in enumerate((0.25, 0.05)):
        for leaf in (params[f"kernel_{i}"], params[f"bias_{i}"]):
            assert jnp.abs(leaf).max() <= bound
    for leaf in (params["kernel_0"], params["bias_0"]):
        assert float(jnp.abs(leaf).max()) > 0.24
        assert float(leaf.std()) == pytest.approx(0.25 / np.sqrt(3), rel=0.1)


def test_fit_by_a_loop():
    found = fit(NETWORK, jax.random.key(3), 0.05, TRAIN, TEST, 5, TRAIN.inputs[:2])
    params = NETWORK.init(jax.random.key(3), TRAIN.inputs)["params"]
    rule = optax.adam(0.05)
    state, train, test, outputs = rule.init(params), [], [], []
    for step in range(6):
        train.append(squared_error(NETWORK, params, TRAIN))
        test.append(squared_error(NETWORK, params, TEST))
        outputs.append(NETWORK.apply({"params": params}, TRAIN.inputs[:2]))
        if step < 5:
            updates, state = rule.update(jax.grad(lambda p: squared_error(NETWORK, p, TRAIN))(params), state)
            params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(found.train, train, rtol=1e-5)
    np.testing.assert_allclose(found.test, test, rtol=1e-5)
    np.testing.assert_allclose(found.outputs, outputs, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found.params, params)


def test_many_at_once_are_as_one_by_one():
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.vmap(lambda key: fit(NETWORK, key, 0.05, TRAIN, TEST, 20))(keys)
    for i, key in enumerate(keys):
        alone = fit(NETWORK, key, 0.05, TRAIN, TEST, 20)
        np.testing.assert_allclose(together.train[i], alone.train, rtol=1e-4)
    assert together.outputs.shape == (3, 21, 0)


def test_it_learns_a_parabola():
    found = jax.jit(lambda: fit(NETWORK, jax.random.key(0), 0.05, TRAIN, TEST, 1000))()
    assert float(found.train[-1]) < 1e-3 < float(found.train[0])


def test_targets_of_another_shape_are_refused():
    params = NETWORK.init(jax.random.key(0), TRAIN.inputs)["params"]
    with pytest.raises(ValueError, match="Shapes must be equal"):
        squared_error(NETWORK, params, Examples(TRAIN.inputs, TRAIN.targets[:, None]))


def test_a_wide_network_of_which_a_part_is_used_is_a_narrow_one():
    wide, narrow = Regressor((4, 4), (nn.sigmoid, nn.tanh), used=3), Regressor((3, 3), (nn.sigmoid, nn.tanh))
    params = wide.init(jax.random.key(0), TRAIN.inputs)["params"]
    shapes = jax.eval_shape(narrow.init, jax.random.key(0), TRAIN.inputs)["params"]
    cut = jax.tree.map(lambda leaf, shape: leaf[tuple(slice(n) for n in shape.shape)], params, shapes)

    def error(network, params):
        return squared_error(network, params, TRAIN)

    found, gradients = jax.value_and_grad(lambda p: error(wide, p))(params)
    wanted, narrow_gradients = jax.value_and_grad(lambda p: error(narrow, p))(cut)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    for name, gradient in gradients.items():
        part = tuple(slice(n) for n in shapes[name].shape)
        np.testing.assert_allclose(gradient[part], narrow_gradients[name], rtol=1e-5, atol=1e-7)
        assert float(jnp.abs(gradient).sum()) == pytest.approx(float(jnp.abs(gradient[part]).sum()))
    assert float(jnp.abs(params["kernel_1"]).max()) > 1 / np.sqrt(4)
