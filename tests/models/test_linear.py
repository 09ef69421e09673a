import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.models.linear import least_squares, logistic_loss, logistic_newton, mean_squared_error, with_ones
from gdl_jax.steps.minimize import minimize

DESIGN = with_ones(jax.random.normal(jax.random.key(0), (50, 2)))
TARGETS = DESIGN @ jnp.array([1.0, -2.0, 0.5]) + 0.1 * jax.random.normal(jax.random.key(1), (50,))
LABELS = (TARGETS + jax.random.normal(jax.random.key(2), (50,)) > 0).astype(jnp.float32)


def test_least_squares_against_numpy():
    wanted = np.linalg.lstsq(np.asarray(DESIGN, np.float64), np.asarray(TARGETS, np.float64))[0]
    np.testing.assert_allclose(least_squares(DESIGN, TARGETS), wanted, rtol=1e-4)


def test_gradient_of_the_squared_error_is_the_text_s():
    weights = jnp.array([0.3, 0.2, 0.1])
    wanted = -(2 / 50) * DESIGN.T @ (TARGETS - DESIGN @ weights)
    np.testing.assert_allclose(jax.grad(mean_squared_error)(weights, DESIGN, TARGETS), wanted, rtol=1e-4)


def test_descent_reaches_the_closed_form_below_the_largest_step_and_not_above():
    largest = 50 / float(np.linalg.eigvalsh(DESIGN.T @ DESIGN).max())
    loss = lambda weights, _: mean_squared_error(weights, DESIGN, TARGETS)  # noqa: E731
    below, above = (minimize(loss, jnp.zeros(3), optax.sgd(f * largest), 300) for f in (0.9, 1.05))
    np.testing.assert_allclose(below.params, least_squares(DESIGN, TARGETS), atol=1e-4)
    assert above.losses[-1] > 100 * above.losses[0]


def test_logistic_loss_is_the_cross_entropy():
    weights = np.array([0.5, -1.0, 0.2])
    chance = 1 / (1 + np.exp(-np.asarray(DESIGN) @ weights))
    labels = np.asarray(LABELS)
    wanted = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance)).mean()
    assert float(logistic_loss(jnp.asarray(weights, jnp.float32), DESIGN, LABELS)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_newton_s_method_ends_where_the_gradient_is_zero(penalty):
    weights = logistic_newton(DESIGN, LABELS, penalty=penalty)
    gradient = jax.grad(logistic_loss)(weights, DESIGN, LABELS) + penalty * weights
    np.testing.assert_allclose(gradient, np.zeros(3), atol=1e-5)


def test_rows_of_zeros_count_for_nothing():
    half = jnp.where(jnp.arange(50)[:, None] < 25, DESIGN, 0.0)
    alone = logistic_newton(DESIGN[:25], LABELS[:25], penalty=0.1)
    np.testing.assert_allclose(logistic_newton(half, LABELS, penalty=0.05), alone, atol=1e-4)


@pytest.mark.parametrize("loss", [mean_squared_error, logistic_loss])
def test_targets_of_another_shape_are_refused(loss):
    with pytest.raises(ValueError, match="Shapes must be equal"):
        loss(jnp.zeros(3), DESIGN, TARGETS[:1])
