import numpy as np
import pytest
from scipy import ndimage, stats

from gdl_jax.metrics.pixel_statistics import column_centroids, moments, sharpness, slopes


def test_centroids():
    image = np.zeros((1, 4, 3))
    image[0, 2, 0] = 0.5
    image[0, :, 1] = 1
    np.testing.assert_allclose(column_centroids(image), [[2, 1.5, 0]])


def test_slopes_against_least_squares():
    curves = np.random.default_rng(0).normal(size=(3, 28))
    found = slopes(curves)
    assert found.shape == (3, 22)
    for i in (0, 5, 21):
        for curve, slope in zip(curves, found[:, i], strict=True):
            assert slope == pytest.approx(np.polyfit(np.arange(7), curve[i : i + 7], 1)[0])


@pytest.mark.parametrize("window", [1, 29])
def test_no_window(window):
    with pytest.raises(ValueError, match="2 to 28"):
        slopes(np.zeros((1, 28)), window)


def test_moments():
    values = np.random.default_rng(0).gamma(2, size=(20, 50))
    found = moments(values)
    assert found["variance"] == pytest.approx(values.var())
    assert found["skewness"] == pytest.approx(stats.skew(values, axis=None))
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(values, axis=None, fisher=False))
    assert moments(np.ones(3)) == {"mean": 1, "variance": 0, "skewness": 0, "kurtosis": 0}


def test_sharpness_against_scipy():
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)
    for image, found in zip(images, sharpness(images), strict=True):
        assert found == pytest.approx(ndimage.laplace(image.mean(axis=2) / 255)[1:-1, 1:-1].var())


def test_what_is_blurred_is_less_sharp():
    image = np.zeros((1, 16, 16, 1), np.uint8)
    image[:, 4:12, 4:12] = 255
    blurred = ndimage.gaussian_filter(image.astype(float), (0, 1, 1, 0)).astype(np.uint8)
    assert sharpness(blurred) < 0.2 * sharpness(image)
    with pytest.raises(ValueError, match=r"not \(2, 9\)"):
        sharpness(np.zeros((1, 2, 9, 1), np.uint8))
