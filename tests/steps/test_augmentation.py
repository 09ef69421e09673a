import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.steps.augmentation import diff_augment, instance_noise, random_crop, random_flip

KEY, STEP = jax.random.key(0), jnp.int32(0)
IMAGES = jax.random.uniform(jax.random.key(1), (400, 8, 8, 3), minval=-1)


def test_instance_noise_has_its_deviation_and_fades():
    view = jax.jit(instance_noise(optax.linear_schedule(0.1, 0.0, 10)))
    for step, deviation in ((0, 0.1), (5, 0.05), (10, 0.0)):
        noise = np.asarray(view(IMAGES, KEY, jnp.int32(step)) - IMAGES)
        assert noise.std() == pytest.approx(deviation, rel=0.01, abs=1e-7)
        assert abs(noise.mean()) < 1e-3


def test_cutout_removes_a_square_of_half_the_side_around_a_random_pixel():
    found = np.asarray(jax.jit(diff_augment(("cutout",)))(jnp.ones((400, 8, 8, 3)), KEY, STEP))
    assert set(np.unique(found)) == {0, 1}
    hidden = (found == 0).all(3)
    assert (hidden == (found == 0).any(3)).all()
    # Squares of 4x4 that may stick out: from 2 to 4 rows and columns are left of them.
    rows, columns = hidden.any(2).sum(1), hidden.any(1).sum(1)
    np.testing.assert_array_equal(hidden.sum((1, 2)), rows * columns)
    assert set(rows) == set(columns) == {2, 3, 4}


def test_translation_moves_by_an_eighth_and_fills_with_zeros():
    found = np.asarray(jax.jit(diff_augment(("translation",)))(IMAGES, KEY, STEP))
    framed = np.pad(np.asarray(IMAGES), ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [(i, j) for i in range(3) for j in range(3)]
    equal = np.stack([(framed[:, i : i + 8, j : j + 8] == found).all((1, 2, 3)) for i, j in shifts], 1)
    np.testing.assert_array_equal(equal.sum(1), 1)
    assert equal.any(0).all()


def test_colour_keeps_what_is_said():
    found = np.asarray(jax.jit(diff_augment(("colour",)))(IMAGES, KEY, STEP), np.float64)
    images = np.asarray(IMAGES, np.float64)
    # The mean moves by the brightness alone; deviations of grey from it scale by the contrast.
    moved = (found - images).mean((1, 2, 3))
    assert abs(moved).max() <= 0.5
    assert moved.std() == pytest.approx(1 / np.sqrt(12), rel=0.1)
    grey, before = found.mean(3), images.mean(3)
    ratio = grey.std((1, 2)) / before.std((1, 2))
    assert (ratio.min(), ratio.max()) == pytest.approx((0.5, 1.5), abs=0.02)
    saturation = (found - grey[..., None]).std((1, 2, 3)) / (images - before[..., None]).std((1, 2, 3)) / ratio
    assert (saturation.min(), saturation.max()) == pytest.approx((0, 2), abs=0.02)


def test_gradients_go_through_all_of_them():
    view = diff_augment(("colour", "translation", "cutout"))
    slope = jax.jit(jax.grad(lambda x: jnp.square(view(x, KEY, STEP)).sum()))(IMAGES[:4])
    assert np.isfinite(slope).all()
    assert (np.asarray(slope) != 0).any((1, 2, 3)).all()


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
