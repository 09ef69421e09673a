from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.transforms import to_uint8
from gdl_jax.data.triangles import parameters_of, render
from gdl_jax.errors import UsageError
from gdl_jax.metrics.decoder import Decoder
from gdl_jax.metrics.features import PIXELS
from gdl_jax.metrics.manifold import distances_to_generator, distances_to_triangles, scores_of
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.suite import measure


@pytest.fixture(autouse=True)
def promotion():
    """Optax's own: it raises a float to an int32 power."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def triangles(num: int, seed: int = 0) -> np.ndarray:
    uniform = np.random.default_rng(seed).uniform(size=(num, 4))
    return to_uint8(render(parameters_of(uniform), 28), (0.0, 1.0))[..., None]


def test_triangles_are_on_the_manifold_and_others_are_not():
    images = triangles(40)
    holed = images.copy()
    holed[:, 10:18, 10:18] = 0
    distances = distances_to_triangles(np.concatenate([images, np.zeros((1, 28, 28, 1), np.uint8)]))
    # What is left is rounding to 255 steps.
    assert np.quantile(distances[:-1], 0.95) < 0.15
    # The smallest triangle is what is nearest to nothing.
    smallest = np.sqrt(np.square(render(np.array([0.5, 0.5, 0.2, 0.0]), 28)).sum())
    assert distances[-1] == pytest.approx(smallest, rel=0.05)
    assert (distances_to_triangles(holed) > distances[:-1] + 0.5).mean() > 0.5
    with pytest.raises(ValueError, match="28x28x3"):
        distances_to_triangles(np.zeros((1, 28, 28, 3), np.uint8))


def test_the_nearest_image_of_a_linear_generator_is_a_projection():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 16)).astype(np.float32) / 4
    decoder = Decoder(
        lambda key, num: jax.random.normal(key, (num, 3)),
        lambda matrix, latents: (latents @ matrix).reshape(-1, 4, 4, 1),
        jnp.asarray(matrix),
    )
    images = rng.integers(0, 256, (5, 4, 4, 1), np.uint8)
    flat = images.reshape(5, 16) / 255
    best = flat @ np.linalg.pinv(matrix) @ matrix
    wanted = np.linalg.norm(flat - best, axis=1)
    found = distances_to_generator(decoder, images, starts=256, steps=300)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_a_generator_of_the_data_itself():
    decoder = Decoder(
        lambda key, num: jax.random.normal(key, (num, 4)),
        lambda _, z: render(parameters_of(jax.scipy.special.ndtr(z), jnp), 28, jnp)[..., None],
        (),
    )
    samples = triangles(64, 1)
    samples[:16, 8:20, 8:20] = 128
    found = measure(Sets(triangles(32, 2), samples, PIXELS, decoder=decoder), ["triangles"], {})
    precision, recall, f1 = (found[f"triangle_{name}"]["value"] for name in ("precision", "recall", "f1"))
    assert precision == pytest.approx(0.75, abs=0.05)
    assert recall > 0.9
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    with pytest.raises(UsageError, match="The data are no triangles"):
        measure(Sets(255 - samples, samples, PIXELS, decoder=decoder), ["triangles"], {})


def test_f1():
    assert scores_of(0.5, 1.0).f1 == pytest.approx(2 / 3)
    assert scores_of(0.0, 0.0) == (0, 0, 0)
