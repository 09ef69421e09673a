from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gdl_jax.metrics import features
from gdl_jax.metrics.features import PIXELS, fitted, network_features
from gdl_jax.metrics.pixels import pixel_features

RNG = np.random.default_rng(0)


def images(num, *shape):
    return RNG.integers(0, 256, (num, *shape), np.uint8)


def test_pixels_are_the_features_without_a_network():
    x = images(3, 16, 16, 1)
    assert PIXELS.name == "pixels"
    np.testing.assert_array_equal(PIXELS.of(x), pixel_features(x))


@pytest.mark.parametrize("num", [1, 4, 5, 9])
def test_every_image_is_seen_once_in_the_range_of_the_network(num, monkeypatch):
    monkeypatch.setattr(features, "IMAGES_PER_CALL", 4)
    calls = []

    def network(x):
        calls.append(x.shape)
        return jnp.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], axis=1)

    found = network_features("some", "some", network, shape=(3, 2, 1), image_range=(-1.0, 1.0))
    x = images(num, 3, 2, 1)
    scaled = 2 * x.astype(np.float64) / 255 - 1
    wanted = np.stack([scaled.mean((1, 2, 3)), scaled.max((1, 2, 3))], axis=1)
    np.testing.assert_allclose(found.of(x), wanted, atol=1e-6)
    # Traced once, whatever the number.
    assert calls == [(4, 3, 2, 1)]


def test_the_protocol_tells_what_becomes_of_other_shapes():
    found = network_features("some", "what they are", jnp.ravel, shape=(3, 2, 1), image_range=(0.0, 1.0))
    assert found.name == "some"
    assert found.description.startswith("what they are; images of another shape made 3x2x1 (bicubic, antialiased;")


def test_images_of_the_shape_stay_as_they_are():
    x = images(3, 5, 4, 3)
    assert fitted(x, (5, 4, 3)) is x


def test_size_by_pillow_s_bicubic_filter_plane_by_plane():
    x = images(2, 12, 10, 3)
    found = fitted(x, (5, 7, 3))
    assert found.shape == (2, 5, 7, 3)
    for image, result in zip(x, found, strict=True):
        wanted = np.asarray(Image.fromarray(image).resize((7, 5), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(result, wanted)


def test_grey_and_colour():
    grey, colour = images(2, 4, 4, 1), images(2, 4, 4, 3)
    np.testing.assert_array_equal(fitted(grey, (4, 4, 3)), np.repeat(grey, 3, axis=3))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(fitted(colour, (4, 4, 1))[..., 0], luma, atol=0.51)
    assert fitted(colour, (8, 6, 1)).shape == (2, 8, 6, 1)
