from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.transforms import random_crop, random_flip, scale, to_uint8

EVERY = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
RANGES = [(0.0, 1.0), (-1.0, 1.0)]


@pytest.mark.parametrize("image_range", RANGES)
@pytest.mark.parametrize("jit", [False, True])
def test_every_value_there_and_back(image_range, jit):
    low, high = image_range
    scaled = (jax.jit(scale, static_argnums=1) if jit else scale)(jnp.asarray(EVERY), image_range)
    assert scaled.dtype == jnp.float32
    np.testing.assert_allclose(scaled, low + EVERY.astype(np.float64) * (high - low) / 255, atol=2e-7)
    assert float(scaled.min()) == low
    assert float(scaled.max()) == pytest.approx(high, abs=2e-7)
    back = to_uint8(np.asarray(scaled), image_range)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, EVERY)


@pytest.mark.parametrize("image_range", RANGES)
def test_rounded_to_the_nearest_and_clipped(image_range):
    low, high = image_range
    step = (high - low) / 255
    values = np.array([low - 5, low - step / 2.1, low + 0.49 * step, low + 0.51 * step, high - 0.49 * step, high + 5])
    np.testing.assert_array_equal(to_uint8(values, image_range), [0, 0, 0, 1, 255, 255])


def test_device_arrays_and_bfloat16_are_taken():
    np.testing.assert_array_equal(
        to_uint8(np.asarray(jnp.array([0.0, 0.5, 1.0], jnp.bfloat16)), (0.0, 1.0)), [0, 128, 255]
    )


def test_flip_mirrors_whole_images_left_to_right_and_about_half_of_them():
    images = np.random.default_rng(0).integers(0, 256, (1000, 3, 4, 2), np.uint8)
    flipped = np.asarray(jax.jit(random_flip)(images, jax.random.key(0)))
    assert flipped.dtype == np.uint8
    mirrored = (flipped == images[:, :, ::-1]).all((1, 2, 3))
    kept = (flipped == images).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_flips_are_a_function_of_the_key():
    images = jnp.arange(64 * 4, dtype=jnp.float32).reshape(64, 1, 4, 1)
    one, again, other = (np.asarray(random_flip(images, jax.random.key(i))) for i in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_crops_are_shifts_of_the_framed_image_and_all_occur_alike():
    images = np.random.default_rng(0).integers(1, 256, (3000, 4, 5, 2), np.uint8)
    found = np.asarray(jax.jit(random_crop, static_argnums=2)(images, jax.random.key(0), 1))
    assert found.dtype == np.uint8
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    matches = [(found == framed[:, y : y + 4, x : x + 5]).all((1, 2, 3)) for y in range(3) for x in range(3)]
    np.testing.assert_array_equal(np.sum(matches, axis=0), 1)
    counts = np.sum(matches, axis=1)
    assert abs(counts - 3000 / 9).max() < 5 * np.sqrt(3000 / 9)


def test_crops_are_a_function_of_the_key_and_without_padding_there_is_none():
    images = jax.random.uniform(jax.random.key(3), (16, 4, 4, 1))
    one, again, other = (np.asarray(random_crop(images, jax.random.key(i), 4)) for i in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert random_crop(images, jax.random.key(0), 0) is images
