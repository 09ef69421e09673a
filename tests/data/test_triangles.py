import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.source import DataSettings, load
from gdl_jax.data.triangles import RADII, parameters_of, render
from gdl_jax.errors import UsageError


def test_corners_and_area():
    # Equilateral, radius 0.4 of 100 pixels: area 3 sqrt(3) / 4 r^2; with the angle 0 a corner points to the left.
    image = render(np.array([[0.5, 0.5, 0.4, 0.0]]), 100)[0]
    assert image.sum() == pytest.approx(3 * np.sqrt(3) / 4 * 40**2, rel=0.01)
    assert image[50, 14] > 0.9
    assert image[50, 8] < 0.1
    assert image[50, 65] > 0.9
    assert image[50, 75] < 0.1
    np.testing.assert_allclose(image, image[::-1], atol=1e-5)


def test_a_third_of_a_turn_changes_nothing_and_numpy_and_jax_agree():
    parameters = parameters_of(np.random.default_rng(0).uniform(size=(5, 4)))
    image = render(parameters, 28)
    turned = render(parameters + np.array([0, 0, 0, 2 * np.pi / 3]), 28)
    np.testing.assert_allclose(turned, image, atol=1e-6)
    np.testing.assert_allclose(render(jnp.asarray(parameters, jnp.float32), 28, jnp), image, atol=1e-4)


def test_all_lie_in_the_picture():
    source = load(DataSettings(name="triangles", num_examples=300), "train")
    examples = source.take(np.arange(300))
    x, y, radius, angle = examples["parameters"].T[:, :, None]
    corners = angle + np.pi / 3 + 2 * np.pi / 3 * np.arange(3)
    places = np.stack([x + radius * np.cos(corners), y + radius * np.sin(corners)])
    assert places.min() >= -1e-6
    assert places.max() <= 1 + 1e-6
    # There are corners, and nothing beyond them.
    beside = np.clip((places * 28).astype(int), 0, 27)
    at = examples["image"][np.arange(300)[:, None], beside[1], beside[0], 0]
    assert (at > 10).mean() > 0.9
    assert RADII[0] <= radius.min() < RADII[0] + 0.02
    assert RADII[1] - 0.02 < radius.max() <= RADII[1]


def test_as_many_as_the_paper_has():
    assert [len(load(DataSettings(name="triangles"), split)) for split in ("train", "test")] == [60_000, 10_000]
    with pytest.raises(UsageError, match="has 60000 at the most"):
        load(DataSettings(name="triangles", num_examples=60_001), "train")
