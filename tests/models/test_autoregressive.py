import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.models.autoregressive import Autoregressive, lags, simulate

MODEL = Autoregressive(jnp.float32(0.3), jnp.array([1.5, -0.75]), jnp.float32(0.8))
SERIES = simulate(MODEL, jax.random.key(0), 4000)


def test_lags_by_a_loop():
    series = np.arange(10.0, 17.0, dtype=np.float32)
    wanted = [[series[t - 1], series[t - 2], series[t - 3]] for t in range(3, 7)]
    np.testing.assert_array_equal(lags(jnp.asarray(series), 3), wanted)


def test_prediction_and_log_prob_by_a_loop():
    series = np.asarray(SERIES[:50], np.float64)
    means = [0.3 + 1.5 * series[t - 1] - 0.75 * series[t - 2] for t in range(2, 50)]
    np.testing.assert_allclose(MODEL.predict(SERIES[:50]), means, rtol=1e-4, atol=1e-4)
    errors = series[2:] - means
    wanted = sum(-0.5 * (e / 0.8) ** 2 - np.log(0.8 * np.sqrt(2 * np.pi)) for e in errors)
    assert float(MODEL.log_prob(SERIES[:50])) == pytest.approx(wanted, rel=1e-4)


def test_free_running_by_a_loop():
    values = [1.0, 2.0]
    for _ in range(6):
        values.append(0.3 + 1.5 * values[-1] - 0.75 * values[-2])
    np.testing.assert_allclose(MODEL.rollout(jnp.array([1.0, 2.0]), 6), values[2:], rtol=1e-5)


def test_noise_has_the_scale_of_the_model():
    still = Autoregressive(jnp.float32(0), jnp.zeros(1), jnp.float32(0.8))
    drawn = still.rollout(jnp.zeros(1), 20_000, jax.random.key(0))
    assert float(drawn.std()) == pytest.approx(0.8, rel=0.02)


def test_fit_finds_the_process():
    found = Autoregressive.fit(SERIES, 2)
    np.testing.assert_allclose(found.coefficients, [1.5, -0.75], atol=0.04)
    assert float(found.intercept) == pytest.approx(0.3, abs=0.08)
    assert float(found.scale) == pytest.approx(0.8, rel=0.04)
    # It is the maximum of the likelihood.
    for changed in (found.replace(scale=1.01 * found.scale), found.replace(intercept=found.intercept + 0.02)):
        assert changed.log_prob(SERIES) < found.log_prob(SERIES)


def test_series_has_the_variance_of_the_process():
    first, second = 1.5, -0.75
    ratio = (1 - second) / ((1 + second) * ((1 - second) ** 2 - first**2))
    assert float(SERIES.var()) == pytest.approx(0.8**2 * ratio, rel=0.15)


def test_deviation_of_forecasts_in_closed_form():
    simple = Autoregressive(jnp.float32(0), jnp.array([0.7]), jnp.float32(2.0))
    wanted = [2 * np.sqrt((1 - 0.7 ** (2 * h)) / (1 - 0.7**2)) for h in range(1, 8)]
    np.testing.assert_allclose(simple.forecast_deviation(7), wanted, rtol=1e-5)


def test_deviation_of_forecasts_by_simulation():
    start = jnp.array([1.0, -1.0])
    runs = jax.vmap(lambda key: MODEL.rollout(start, 12, key))(jax.random.split(jax.random.key(0), 20_000))
    np.testing.assert_allclose(runs.std(axis=0), MODEL.forecast_deviation(12), rtol=0.03)
