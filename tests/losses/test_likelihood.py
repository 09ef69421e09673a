from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gdl_jax.losses.likelihood import (
    Bernoulli,
    DiscretisedLogistic,
    Gaussian,
    SquaredError,
    bernoulli_nll,
    dequantise,
    discretised_logistic_nll,
    free_bits,
    gaussian_nll,
    importance_bound,
    kl_per_dimension,
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


LEVELS = np.arange(256) / 255


def logistic_table(location, scale):
    """Probabilities of the 256 levels by SciPy's distribution function, in float64."""
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    return np.diff(stats.logistic(location, scale).cdf(edges))


@pytest.mark.parametrize(("location", "scale"), [(0.4, 0.05), (0.5, 0.3), (-0.2, 0.1), (1.0, 0.02), (0.31, 3.0)])
def test_discretised_logistic_against_scipy_for_every_level(location, scale):
    levels = jnp.asarray(LEVELS, jnp.float32)[:, None]
    found = discretised_logistic_nll(jnp.full_like(levels, location), levels, float(np.log(scale)))
    wanted = logistic_table(location, scale)
    assert np.exp(-np.asarray(found, np.float64)).sum() == pytest.approx(1, abs=1e-5)
    # Of a difference of two numbers near 1, SciPy has no digits.
    safe = wanted > 1e-9
    np.testing.assert_allclose(found[safe], -np.log(wanted[safe]), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("scale", [1e-3, 0.02, 1.0, 1e3])
@pytest.mark.parametrize("location", [-30.0, 0.3, 40.0])
def test_discretised_logistic_has_finite_slopes_everywhere(location, scale):
    levels = jnp.asarray(LEVELS, jnp.float32)[:, None]

    def total(location, log_scale):
        return discretised_logistic_nll(location, levels, log_scale).sum()

    arguments = jnp.full_like(levels, location), jnp.full_like(levels, np.log(scale))
    value, slopes = jax.value_and_grad(total, (0, 1))(*arguments)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(slope).all() for slope in slopes)


def test_dequantised_pixels_fill_the_cells_of_their_levels():
    images = jnp.tile(jnp.asarray(LEVELS, jnp.float32)[None, :, None], (2000, 1, 1))
    found = np.asarray(dequantise(images, jax.random.key(0)), np.float64)[..., 0] * 256 - np.arange(256)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found.mean(0), 0.5, atol=0.04)
    np.testing.assert_allclose(found.var(0), 1 / 12, atol=0.01)


def test_bits_per_dimension_speak_of_256_levels():
    """A fair choice among the levels has 8 bits, whether as a probability or as a density on [0, 1)."""
    nats = jnp.full((2,), 12 * np.log(256), jnp.float32)
    np.testing.assert_allclose(DiscretisedLogistic().bits_per_dimension(nats, 12), 8, rtol=1e-6)
    np.testing.assert_allclose(Gaussian().bits_per_dimension(jnp.zeros(2), 12), 8, rtol=1e-6)
    np.testing.assert_allclose(Bernoulli().bits_per_dimension(jnp.full((2,), 12 * np.log(2)), 12), 1, rtol=1e-6)
    assert SquaredError().bits is None
    assert len({kind.bits for kind in (Bernoulli, Gaussian, DiscretisedLogistic)}) == 3


def test_the_density_of_dequantised_pixels_is_a_bound_on_the_bits_of_the_levels():
    """Theis et al. 2016, section 3.1, for one pixel: E[-log2 p] + 8 against -log2 of the mass of the cell."""
    level, draws = 100, 4000
    images, logits = jnp.full((draws, 1), level / 255), jnp.full((draws, 1), -0.5)
    for scale in (0.002, 0.05):
        likelihood = Gaussian(scale)
        nll = likelihood.nll(logits, likelihood.targets(images, jax.random.key(0)))
        bits = likelihood.bits_per_dimension(nll, 1).mean()
        mean = 1 / (1 + np.exp(0.5))
        normal = stats.norm(mean, scale)
        exact = -(
            normal.logcdf((level + 1) / 256)
            + np.log1p(-np.exp(normal.logcdf(level / 256) - normal.logcdf((level + 1) / 256)))
        ) / np.log(2)
        assert bits > exact - 0.05
        if scale == 0.05:  # the density hardly changes within the cell
            assert bits == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("kind", [Gaussian, DiscretisedLogistic])
def test_a_learned_scale_is_the_second_half_of_the_outputs(kind):
    outputs = jax.random.normal(jax.random.key(0), (3, 4, 4, 2))
    images = jnp.round(255 * jax.random.uniform(jax.random.key(1), (3, 4, 4, 2))) / 255
    both = jnp.concatenate([outputs, jnp.full_like(outputs, np.log(0.2))], axis=-1)
    np.testing.assert_allclose(kind().nll(both, images), kind(0.2).nll(outputs, images), rtol=1e-5)
    np.testing.assert_allclose(kind().mean(both), kind(0.2).mean(outputs))
    assert (kind().outputs_per_channel, kind(0.2).outputs_per_channel) == (2, 1)
    # From e^-7 on it does not shrink.
    tiny, less = (jnp.concatenate([outputs, jnp.full_like(outputs, x)], axis=-1) for x in (-7.0, -20.0))
    np.testing.assert_array_equal(kind().nll(tiny, images), kind().nll(less, images))


def test_what_is_shown_of_outputs():
    outputs = jnp.array([[[[-3.0, 0.0, 3.0]]]])
    for kind in (Bernoulli(), SquaredError(), Gaussian(0.1)):
        np.testing.assert_allclose(kind.mean(outputs), 1 / (1 + np.exp(-np.asarray(outputs))), rtol=1e-6)
    np.testing.assert_allclose(DiscretisedLogistic(0.1).mean(outputs), [[[[0, 0.5, 1]]]])


def test_importance_bound_is_the_logarithm_of_the_mean_weight():
    weights = jax.random.normal(jax.random.key(0), (5, 3)) * 30 - 200
    wanted = np.log(np.exp(np.asarray(weights, np.float64) + 200).mean(0)) - 200
    np.testing.assert_allclose(importance_bound(weights), wanted, rtol=1e-6)
    np.testing.assert_array_equal(importance_bound(weights[:1]), weights[0])


def test_free_bits_floor_the_mean_over_the_batch():
    kl = jnp.array([[0.0, 1.0], [0.4, 3.0]])
    np.testing.assert_allclose(free_bits(kl, 0.5), [0.5, 2.0])
    np.testing.assert_allclose(free_bits(kl, 0.1), [0.2, 2.0])


def test_kl_per_dimension_adds_up():
    mean, log_variance = (jax.random.normal(jax.random.key(i), (4, 3)) for i in (0, 1))
    each = kl_per_dimension(mean, log_variance)
    assert each.shape == (4, 3)
    assert (each >= 0).all()
    np.testing.assert_allclose(each.sum(1), kl_standard_normal(mean, log_variance), rtol=1e-6)


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
        lambda a, b: discretised_logistic_nll(a, b, 0.0),
        lambda a, b: discretised_logistic_nll(a, a, b),
        kl_standard_normal,
        kl_per_dimension,
    ],
)
def test_shapes_that_would_broadcast(loss):
    with pytest.raises(Mismatch):
        loss(jnp.zeros((4, 1)), jnp.zeros((4, 4)))
    with pytest.raises(Mismatch):
        loss(jnp.zeros((4, 1)), jnp.zeros((4,)))
