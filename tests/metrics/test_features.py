from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gdl_jax.metrics import features
from gdl_jax.metrics.features import PIXELS, fitted, images_per_call, network_features
from gdl_jax.metrics.pixels import pixel_features
from gdl_jax.steps.devices import make_mesh

RNG = np.random.default_rng(0)


def images(num, *shape):
    return RNG.integers(0, 256, (num, *shape), np.uint8)


def test_pixels_are_the_features_without_a_network():
    x = images(3, 16, 16, 1)
    assert PIXELS.name == "pixels"
    np.testing.assert_array_equal(PIXELS.of(x), pixel_features(x))


@pytest.fixture
def network(monkeypatch):
    """Mean and maximum, times a weight; and the shapes that it was traced for."""
    monkeypatch.setattr(features, "IMAGES_PER_CALL", 4)
    calls = []

    def apply(weight, x):
        calls.append(x.shape)
        return weight * jnp.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], axis=1), x[:, 0, 0]

    apply.calls = calls
    return apply


@pytest.mark.parametrize(("devices", "size"), [(1, 4), (3, 6), (8, 8)])
@pytest.mark.parametrize("num", [1, 4, 9])
def test_every_image_is_seen_once_in_the_range_of_the_network(num, devices, size, network):
    mesh = make_mesh(jax.devices()[:devices])
    found = network_features(
        "some", "some", network, np.float32(3), shape=(3, 2, 1), image_range=(-1.0, 1.0), num_classes=1, mesh=mesh
    )
    x = images(num, 3, 2, 1)
    scaled = 2 * x.astype(np.float64) / 255 - 1
    seen = found.look(x)
    wanted = np.stack([scaled.mean((1, 2, 3)), scaled.max((1, 2, 3))], axis=1)
    np.testing.assert_allclose(seen.features, 3 * wanted, atol=1e-6)
    np.testing.assert_allclose(seen.log_probabilities, scaled[:, 0, 0], atol=1e-6)
    # Traced once, whatever the number.
    assert network.calls == [(size, 3, 2, 1)]


def test_a_batch_is_small_where_images_are_large():
    one = make_mesh(jax.devices()[:1])
    assert images_per_call((28, 28, 1), one) == 256
    assert images_per_call((299, 299, 3), one) == 64
    assert images_per_call((4096, 4096, 3), one) == 1
    assert images_per_call((4096, 4096, 3), make_mesh()) == 8


def test_features_that_can_be_traced_are_the_same(network):
    """Of images in [0, 1]; of another size by another implementation of the filter."""
    some = network_features("some", "some", network, np.float32(2), shape=(6, 6, 1), image_range=(-1.0, 1.0))
    for found, tolerance, x in ((some, 1e-6, images(4, 6, 6, 1)), (PIXELS, 1e-6, images(4, 9, 6, 3))):
        decimals = jnp.asarray(x / np.float32(255), jnp.float32)
        np.testing.assert_allclose(jax.jit(found.traced)(decimals), found.of(x), atol=tolerance)
        assert found.count(x.shape[1:]) == found.of(x).shape[1]
    smooth = np.full((2, 12, 12, 3), [10, 200, 90], np.uint8)
    luma = 0.299 * 10 + 0.587 * 200 + 0.114 * 90
    traced = some.traced(jnp.asarray(smooth / np.float32(255), jnp.float32))
    np.testing.assert_allclose(traced, np.full((2, 2), 2 * (2 * luma / 255 - 1)), rtol=1e-5)
    np.testing.assert_allclose(traced, some.of(smooth), atol=0.01)


def test_the_protocol_tells_what_becomes_of_other_shapes(network):
    found = network_features("some", "what they are", network, 1.0, shape=(3, 2, 1), image_range=(0.0, 1.0))
    assert found.name == "some"
    assert found.description.startswith("what they are; images of another shape made 3x2x1 (bicubic, antialiased;")


def test_images_of_the_shape_stay_as_they_are():
    x = images(3, 5, 4, 3)
    assert fitted(x, (5, 4, 3)) is x


def test_size_by_pillow_s_bicubic_filter_plane_by_plane():
    x = images(2, 12, 10, 3)
    found = fitted(x, (5, 7, 3))
    assert found.shape == (2, 5, 7, 3)
    smooth = fitted(x, (5, 7, 3), "bilinear")
    for image, result, other in zip(x, found, smooth, strict=True):
        wanted = np.asarray(Image.fromarray(image).resize((7, 5), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(result, wanted)
        np.testing.assert_array_equal(
            other, np.asarray(Image.fromarray(image).resize((7, 5), Image.Resampling.BILINEAR))
        )


def test_grey_and_colour():
    grey, colour = images(2, 4, 4, 1), images(2, 4, 4, 3)
    np.testing.assert_array_equal(fitted(grey, (4, 4, 3)), np.repeat(grey, 3, axis=3))
    luma = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(fitted(colour, (4, 4, 1))[..., 0], luma, atol=0.51)
    assert fitted(colour, (8, 6, 1)).shape == (2, 8, 6, 1)
