from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gdl_jax.losses.likelihood import (
    bernoulli_nll,
    gaussian_nll,
    kl_standard_normal,
    nats_to_bits_per_dimension,
    weighted_squared_error,
)

Mismatch = (ValueError, TypeError)  # jaxtyping's import hook is before the check


@pytest.fixture
def pair():
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], (3, 4, 5, 2)), jax.random.uniform(keys[1], (3, 4, 5, 2))


def test_bernoulli_of_a_fair_coin_is_jiangs_value(pair):
    targets = jax.random.uniform(jax.random.key(0), (2, 28, 28, 1))
    np.testing.assert_allclose(bernoulli_nll(jnp.zeros_like(targets), targets), 543.427, atol=1e-3)


def test_bernoulli_against_numpy(pair):
    logits, targets = pair
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    wanted = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(bernoulli_nll(logits, targets), wanted, rtol=1e-5)


def test_bernoulli_keeps_its_digits_where_it_is_sure_and_right():
    assert bernoulli_nll(jnp.array([12.0]), jnp.array([1.0]))[0] == pytest.approx(np.log1p(np.exp(-12)), rel=1e-5)


def test_gaussian_against_scipy(pair):
    mean, targets = pair
    log_scale = 0.3 * mean - 0.2
    wanted = -stats.norm(mean, np.exp(log_scale)).logpdf(targets).sum((1, 2, 3))
    np.testing.assert_allclose(gaussian_nll(mean, targets, log_scale), wanted, rtol=1e-5)
    wanted = -stats.norm(mean, np.exp(0.7)).logpdf(targets).sum((1, 2, 3))
    np.testing.assert_allclose(gaussian_nll(mean, targets, 0.7), wanted, rtol=1e-5)
    np.testing.assert_allclose(gaussian_nll(mean, targets, jnp.float32(0.7)), wanted, rtol=1e-5)


def test_weighted_squared_error_is_a_gaussian_with_variance_n_over_2_weight(pair):
    mean, targets = pair
    found = weighted_squared_error(mean, targets, 1000.0)
    np.testing.assert_allclose(found, 1000 * np.square(mean - targets).mean((1, 2, 3)), rtol=1e-5)
    variance = 40 / 2000
    constant = 40 / 2 * np.log(2 * np.pi * variance)
    np.testing.assert_allclose(found, gaussian_nll(mean, targets, 0.5 * np.log(variance).item()) - constant, rtol=1e-4)


def test_kl_has_jiangs_values():
    mean, log_variance = jnp.array([[0.5, -1.0]]), jnp.array([[0.2, -0.3]])
    each = [kl_standard_normal(mean[:, i : i + 1], log_variance[:, i : i + 1])[0] for i in (0, 1)]
    np.testing.assert_allclose(each, [0.135701, 0.520409], atol=1e-6)
    np.testing.assert_allclose(kl_standard_normal(mean, log_variance), [0.656110], atol=1e-6)
    np.testing.assert_allclose(kl_standard_normal(mean, log_variance, reduce="mean"), [0.328055], atol=1e-6)


def test_kl_has_lanhams_value_and_is_zero_at_the_prior():
    kl = kl_standard_normal(jnp.array([[1.0], [0.0]]), jnp.array([[2 * np.log(0.5)], [0.0]], jnp.float32))
    np.testing.assert_allclose(kl, [0.8181471805599453, 0.0], atol=1e-6)


def test_bits_per_dimension():
    nats = jnp.array([784 * np.log(2), 784 * np.log(256)], jnp.float32)
    np.testing.assert_allclose(nats_to_bits_per_dimension(nats, 784), [1, 8], rtol=1e-6)


@pytest.mark.parametrize("extreme", [-1e4, -88.0, 88.0, 1e4])
def test_gradients_at_extremes(extreme):
    x = jnp.full((2, 3), extreme)
    for targets in (jnp.zeros((2, 3)), jnp.full((2, 3), 0.3), jnp.ones((2, 3))):
        value, slope = jax.value_and_grad(lambda x, t=targets: bernoulli_nll(x, t).sum())(x)
        assert jnp.isfinite(value)
        assert jnp.isfinite(slope).all()
        assert jnp.isfinite(jax.grad(lambda x, t=targets: gaussian_nll(x, t, 0.0).sum())(x)).all()
    assert jnp.isfinite(jax.grad(lambda x: kl_standard_normal(x, jnp.minimum(x, 80.0)).sum())(x)).all()


@pytest.mark.parametrize(
    "loss",
    [
        bernoulli_nll,
        lambda a, b: gaussian_nll(a, b, 0.0),
        lambda a, b: gaussian_nll(a, a, b),
        lambda a, b: weighted_squared_error(a, b, 1.0),
        kl_standard_normal,
    ],
)
def test_shapes_that_would_broadcast(loss):
    with pytest.raises(Mismatch):
        loss(jnp.zeros((4, 1)), jnp.zeros((4, 4)))
    with pytest.raises(Mismatch):
        loss(jnp.zeros((4, 1)), jnp.zeros((4,)))
