import numpy as np
import pytest

from gdl_jax.data.faces import Faces
from gdl_jax.data.faces_people import ATTRIBUTES
from gdl_jax.metrics.readout import area_under_curve, fit_readout


def test_the_dual_form_is_ridge_regression():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 3, 2, 1), dtype=np.uint8)
    has_it = np.stack([images[:, 0, 0, 0] > 128, images[:, 1, 1, 0] > 100], axis=1)
    readout = fit_readout(images, has_it, ridge=0.05)
    flat = images.reshape(40, -1) / 255
    centred = flat - flat.mean(axis=0)
    penalty = 0.05 * np.square(centred).sum() / 40
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(6), centred.T @ (has_it - has_it.mean(axis=0)))
    np.testing.assert_allclose(readout.weights, weights, atol=1e-4)
    np.testing.assert_allclose(readout(images), centred @ weights + has_it.mean(axis=0), atol=1e-4)


def test_area_under_curve_counts_pairs():
    has_it = np.array([True, True, False, False])
    assert area_under_curve(np.array([2.0, 3, 0, 1]), has_it) == 1
    assert area_under_curve(np.array([0.0, 1, 2, 3]), has_it) == 0
    assert area_under_curve(np.array([0.0, 2, 1, 2]), has_it) == 0.375
    assert area_under_curve(np.zeros(4), has_it) == 0.5


@pytest.mark.parametrize(
    ("name", "least"), [("blond_hair", 0.98), ("eyeglasses", 0.9), ("mouth_open", 0.85), ("hat", 0.9)]
)
def test_attributes_of_faces_can_be_read_from_pixels_of_other_people(name, least):
    known = Faces(num_examples=800, size=32).take(np.arange(800))
    other = Faces(num_examples=300, size=32, first=2**30).take(np.arange(300))
    column = ATTRIBUTES.index(name)
    readout = fit_readout(known["image"], known["attributes"][:, [column]] > 0)
    assert area_under_curve(readout(other["image"])[:, 0], other["attributes"][:, column] > 0) > least
