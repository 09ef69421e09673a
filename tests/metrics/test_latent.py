import numpy as np
import pytest
from scipy import stats

from gdl_jax.metrics.latent import (
    cells,
    class_areas,
    empty_share,
    kl_to_prior,
    ks_distance,
    p_values,
    principal_component_error,
    prior_check,
    quantiles,
    share_of_nearest,
)

NOISE = np.random.default_rng(0).standard_normal((2000, 3))


def test_ks_distance_is_that_of_scipy():
    codes = NOISE * [1, 2, 0.3] + [0, 0.5, 3]
    wanted = [stats.kstest(column, "norm").statistic for column in codes.T]
    np.testing.assert_allclose(ks_distance(codes), wanted, atol=1e-6)


def test_ks_distance_of_one_constant_is_its_larger_tail():
    assert ks_distance(np.full((10, 1), 1.0))[0] == pytest.approx(stats.norm.cdf(1), abs=1e-6)
    assert ks_distance(np.full((10, 1), -50.0))[0] == pytest.approx(1)


def test_prior_check_finds_the_dimension_that_is_off():
    check = prior_check((NOISE * [1, 1, 3] + [0, 2, 0]).astype(np.float32))
    np.testing.assert_allclose(check.mean, [0, 2, 0], atol=0.15)
    np.testing.assert_allclose(check.std, [1, 1, 3], atol=0.1)
    bound = 1.36 / np.sqrt(2000)
    assert check.ks[0] < 1.2 * bound
    assert (check.ks[1:] > 5 * bound).all()


def test_p_values_are_even_under_the_prior_and_quantiles_undo_them():
    inside = p_values(NOISE)
    np.testing.assert_allclose(np.histogram(inside, bins=10, range=(0, 1))[0] / inside.size, 0.1, atol=0.015)
    np.testing.assert_allclose(quantiles(p_values(NOISE)), NOISE, atol=1e-2)
    np.testing.assert_allclose(quantiles(np.array([0.025, 0.5, 0.975])), [-1.95996, 0, 1.95996], atol=1e-4)


def test_kl_of_the_moments_is_the_closed_form():
    # Points whose mean and covariance are exact.
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert kl_to_prior(square) == pytest.approx(0)
    scaled = square * [2, 0.5] + [3, 0]
    wanted = 0.5 * (4 + 0.25 + 9 - 2 - np.log(4) - np.log(0.25))
    assert kl_to_prior(scaled) == pytest.approx(wanted)
    assert kl_to_prior(square * [1, 0]) == float("inf")
    assert kl_to_prior(square[:, :1]) == pytest.approx(0)


def test_class_areas_are_those_of_the_nearest_point():
    points = np.array([[0.25, 0.5], [0.75, 0.5], [0.95, 0.5]])
    areas = class_areas(points, np.array([0, 2, 2]), 4, low=np.zeros(2), high=np.ones(2), side=64)
    np.testing.assert_allclose(areas, [0.5, 0, 0.5, 0], atol=0.01)
    assert areas.sum() == pytest.approx(1)


def test_empty_share_counts_cells():
    box = {"low": np.zeros(2), "high": np.ones(2), "side": 4}
    assert empty_share(cells(box["low"], box["high"], 4), **box) == 0
    assert empty_share(np.array([[0.1, 0.1], [0.12, 0.2], [1.0, 1.0], [5.0, 0.5]]), **box) == 14 / 16


def test_share_of_nearest_asks_the_neighbours():
    known = np.array([0, 10, 20, 200, 210, 220], np.uint8).reshape(6, 1, 1, 1)
    bright = np.array([False, False, True, True, True, True])
    images = np.array([5, 215], np.uint8).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(share_of_nearest(images, known, bright, 3), [1 / 3, 1])
    np.testing.assert_allclose(share_of_nearest(images, known, bright, 100), [4 / 6, 4 / 6])


@pytest.mark.parametrize("num", [30, 300])
def test_principal_components_against_an_svd(num):
    """With fewer images than pixels, and with more."""
    generator = np.random.default_rng(0)
    train, test = (generator.integers(0, 256, (n, 6, 8, 2), dtype=np.uint8) for n in (num, 20))
    flat, seen = (x.reshape(len(x), -1) / 255 for x in (train, test))
    axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:5]
    rest = (seen - flat.mean(0)) - (seen - flat.mean(0)) @ axes.T @ axes
    wanted = np.square(rest).sum(axis=1).mean()
    assert principal_component_error(train, test, 5) == pytest.approx(wanted, rel=1e-4)
    # As many as there can be leave nothing of the images that they are taken of.
    assert principal_component_error(train, train, 96) == pytest.approx(0, abs=1e-3)
