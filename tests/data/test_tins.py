import numpy as np

from gdl_jax.data.tins import HEIGHTS, WIDTHS, draw_tins, measure_tins, random_tins


def test_pictures_are_in_range_and_tins_inside():
    pictures = draw_tins(*random_tins(100, seed=0))
    assert pictures.shape == (100, 32, 32)
    assert pictures.dtype == np.float32
    assert pictures.min() == 0
    assert pictures.max() <= 1
    for edge in (pictures[:, 0], pictures[:, :, 0], pictures[:, :, -1]):
        assert (edge == 0).all()


def test_sizes_are_as_told():
    heights, widths = np.array([0.3, 0.5, 0.5]), np.array([0.5, 0.5, 0.75])
    drawn = draw_tins(heights, widths, 128) > 0.1
    across = drawn.any(axis=1).sum(axis=1) / 128
    # The lid is seen from above, so that the picture is higher than the body by the lid's height.
    high = drawn.any(axis=2).sum(axis=1) / 128 - 0.14 * widths
    np.testing.assert_allclose(across, widths, atol=0.02)
    np.testing.assert_allclose(high, heights, atol=0.02)


def test_height_and_width_can_be_measured_back():
    factors = random_tins(50, seed=1)
    found = measure_tins(draw_tins(*factors))
    assert np.abs(found - factors).max() < 0.02
    noisy = draw_tins(*factors) + np.random.default_rng(0).normal(0, 0.1, (50, 32, 32)).astype(np.float32)
    assert np.abs(measure_tins(noisy) - factors).max() < 0.06


def test_random_tins_fill_the_ranges():
    for values, (low, high) in zip(random_tins(5000, seed=0), (HEIGHTS, WIDTHS), strict=True):
        assert low <= values.min() < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.01
