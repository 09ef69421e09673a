import numpy as np
import pytest

from gdl_jax.metrics.monitor import Series, exceeded, oscillates, running, spikes, vanished, watch


def series(values, every=1, first=1):
    values = np.asarray(values, float)
    return Series(first + every * np.arange(len(values)), values)


def test_running_mean_and_variance_are_those_of_weights_that_decay():
    values = np.array([1.0, 4.0, 2.0, 7.0])
    found = Series(np.array([0, 3, 4, 10]), values)
    mean, variance = running(found, window=5)
    for i in range(1, 4):
        weights = np.exp(-(found.steps[i - 1] - found.steps[:i]) / 5)
        wanted = np.average(values[:i], weights=weights)
        assert mean[i] == pytest.approx(wanted)
        assert variance[i] == pytest.approx(np.average((values[:i] - wanted) ** 2, weights=weights))
    assert (mean[0], variance[0]) == (1, 0)


@pytest.mark.parametrize("every", [1, 50])
def test_a_loss_that_stays_near_zero_has_vanished(every):
    long = series(np.full(200 // every + 1, 5e-4), every)
    assert vanished(long) == 201
    assert vanished(Series(long.steps[:-1], long.values[:-1])) is None


def test_a_loss_that_comes_back_or_is_below_zero_has_not_vanished():
    back = np.full(300, 5e-4)
    back[150] = 0.1
    assert vanished(series(back)) is None
    assert vanished(series(np.full(300, -5e-4))) is None
    assert vanished(series(np.concatenate([back, np.full(60, 5e-4)]))) == 352


def test_the_first_value_above_a_limit():
    assert exceeded(series([1, 100, 101, 200])) == 3
    assert exceeded(series([1, 100])) is None


def test_spikes_are_judged_by_what_came_before():
    values = 1 + 0.1 * np.random.default_rng(0).standard_normal(400)
    assert len(spikes(series(values))) == 0
    values[[50, 250, 300]] = 3, 2, 0
    assert spikes(series(values)).tolist() == [251, 301]
    assert spikes(series(values, every=25)).tolist() == [1251, 6251, 7501]


def test_a_loss_that_swings_more_and_more():
    """The deviation of a sine is its amplitude over the root of 2."""
    steps = np.arange(1000)
    swings = 4 + steps / 250 * np.sin(2 * np.pi * steps / 50)
    found = oscillates(series(swings))
    # Where the mean amplitude of the last 100 steps is the root of 2.
    assert found == pytest.approx(250 * np.sqrt(2) + 50, abs=15)
    assert oscillates(series(swings[:300])) is None
    assert oscillates(series(4 + steps)) is None
    assert oscillates(series(swings - 4)) is None
    assert oscillates(series(swings[::50], every=50)) is None
    assert [alarm.step for alarm in watch({"generator/loss": series(swings)})] == [found]


def test_alarms_of_a_gan_in_order():
    falling = np.concatenate([np.ones(10), np.full(300, 1e-5)])
    norm = np.ones(310)
    norm[4] = 1000
    alarms = watch({"discriminator/loss": series(falling), "generator/gradient_norm": series(norm)})
    assert [(alarm.step, alarm.metric) for alarm in alarms] == [
        (5, "generator/gradient_norm"),
        (211, "discriminator/loss"),
    ]


def test_what_is_no_gan_has_none():
    assert watch({"vae/gradient_norm": series([1e4] * 20)}) == []


def test_what_is_not_finite_is_passed_over():
    assert watch({"generator/gradient_norm": series([np.nan, 500])})[0].step == 2
    assert watch({"generator/gradient_norm": series([np.nan])}) == []
