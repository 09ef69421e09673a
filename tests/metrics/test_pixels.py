from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.metrics.pixels import pixel_features


def images(num: int, height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, height, width, channels), np.uint8)


def edges(n: int, size: int) -> list[tuple[int, int]]:
    """Whole pixels, at least one of them: [i n / size, (i + 1) n / size)."""
    bounds = []
    for i in range(size):
        start, stop = int(np.rint(i * n / size)), int(np.rint((i + 1) * n / size))
        start = min(start, n - 1)
        bounds.append((start, max(stop, start + 1)))
    return bounds


@pytest.mark.parametrize("shape", [(16, 16, 1), (28, 28, 3), (12, 20, 3), (30, 9, 1), (8, 8, 1), (5, 7, 2), (1, 1, 1)])
@pytest.mark.parametrize("size", [8, 3])
def test_against_a_plain_loop(shape, size):
    x = images(3, *shape)
    height, width, channels = shape
    wanted = np.array(
        [
            [
                image[top:bottom, left:right, channel].astype(np.float64).mean() / 255
                for top, bottom in edges(height, size)
                for left, right in edges(width, size)
                for channel in range(channels)
            ]
            for image in x
        ]
    )
    found = pixel_features(x, size)
    assert found.shape == (3, size * size * channels)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("side", [8, 12, 28, 29, 100])
def test_every_pixel_of_images_of_eight_and_more_counts_in_one_cell(side):
    x = np.zeros((side * side, side, side, 1), np.uint8)
    x.reshape(side * side, -1)[np.arange(side * side), np.arange(side * side)] = 255
    if side > 30:
        x = x[:: side + 1]
    assert ((pixel_features(x) > 0).sum(1) == 1).all()


def test_images_of_eight_by_eight_are_their_own_features():
    x = images(4, 8, 8, 3)
    np.testing.assert_allclose(pixel_features(x), x.reshape(4, -1) / 255, rtol=1e-12)


def test_the_ends_of_the_scale():
    assert (pixel_features(np.full((2, 28, 28, 1), 255, np.uint8)) == 1).all()
    assert (pixel_features(np.zeros((2, 28, 28, 1), np.uint8)) == 0).all()
