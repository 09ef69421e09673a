from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.pictures.classes import FONT, GAP, confusion_picture, predictions_grid, shortened

RED = (181, 47, 82)


def pixels(picture, colour):
    return int((picture == np.array(colour, np.uint8)).all(axis=-1).sum())


@pytest.mark.parametrize("shape", [(16, 16, 1), (28, 28, 1), (32, 48, 3), (100, 80, 3)])
def test_images_stand_in_the_grid_as_they_are(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    labels = np.arange(5)
    picture = predictions_grid(images, labels, labels, tuple("abcde"))
    assert picture.dtype == np.uint8
    zoom = max(1, 72 // max(shape[:2]))
    wide = max(72, zoom * shape[1]) + GAP
    assert picture.shape[1] == 3 * wide
    left = (wide - zoom * shape[1]) // 2
    first = picture[GAP // 2 : GAP // 2 + zoom * shape[0] : zoom, left : left + zoom * shape[1] : zoom]
    np.testing.assert_array_equal(first, np.broadcast_to(images[0], (*shape[:2], 3)))
    assert pixels(picture, RED) == pixels(images, RED)


def test_only_what_is_wrong_is_red():
    images = np.zeros((4, 20, 20, 1), np.uint8)
    labels, classes = np.array([0, 1, 2, 0]), ("cat", "dog", "frog")
    predictions = np.array([0, 1, 0, 0])
    picture = predictions_grid(images, labels, predictions, classes)
    cells = [picture[y : y + len(picture) // 2, x : x + 80] for y in (0, len(picture) // 2) for x in (0, 80)]
    assert [pixels(cell, RED) > 0 for cell in cells] == [False, False, True, False]
    # Its name, and the true one, stand below; below the others their name alone.
    rows = [np.flatnonzero((cell[GAP // 2 + 60 + 2 :] < 250).any(axis=(1, 2))) for cell in cells]
    assert rows[2].max() > rows[0].max() + 8


def test_colours_of_the_confusion_matrix_are_shares_of_rows():
    confusion = np.array([[8, 0], [1, 3]])
    picture = confusion_picture(confusion, ("cat", "dog"))
    side = 50
    left = 2 * GAP + round(max(FONT.getlength(name) for name in ("cat", "dog")))
    top = left + 13
    found = [[tuple(picture[top + side * r + 5, left + side * c + 5].tolist()) for c in (0, 1)] for r in (0, 1)]
    assert found[0] == [(42, 102, 177), (255, 255, 255)]
    assert found[1] == [(202, 217, 236), (95, 140, 196)]  # 255 + (42 - 255) / 4 ...


@pytest.mark.parametrize("classes", [2, 32, 33, 1000])
def test_many_classes(classes):
    confusion = np.eye(classes, dtype=int) * 3
    picture = confusion_picture(confusion, [f"class {i}" for i in range(classes)])
    assert picture.shape[2] == 3
    assert max(picture.shape) < 2200
    # A picture of two classes is no narrower than its title.
    assert picture.shape[1] > 300


def test_a_class_without_examples_is_white():
    picture = confusion_picture(np.array([[0, 0], [0, 4]]), ("a", "b"))
    assert pixels(picture, (42, 102, 177)) > 1000
    assert np.isfinite(picture).all()


def test_long_names_are_cut():
    assert shortened("frog", 72) == "frog"
    cut = shortened("a very long name of a class", 72)
    assert cut.startswith("a very")
    assert cut.endswith("…")
    assert FONT.getlength(cut) <= 72
    assert FONT.getlength(cut[:-1] + "xx…") > 72
