import numpy as np
import pytest
from PIL import ImageColor

from gdl_jax.pictures.captions import captioned, histograms, named_rows, short, ticked, titled, zoomed
from gdl_jax.pictures.curves import PALETTE

IMAGES = np.random.default_rng(0).integers(0, 200, (6, 8, 8, 1), dtype=np.uint8)


def has_ink(picture):
    return bool((picture < 150).any())


def test_zoomed_repeats_pixels_as_rgb():
    large = zoomed(IMAGES, 20)
    assert large.shape == (6, 24, 24, 3)
    np.testing.assert_array_equal(large[:, ::3, ::3], np.broadcast_to(IMAGES, (6, 8, 8, 3)))
    assert zoomed(IMAGES, 8).shape == (6, 8, 8, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_title_stands_above_the_untouched_picture(channels):
    picture = np.full((30, 300, channels), 77, np.uint8)
    with_title = titled(picture, "a title")
    np.testing.assert_array_equal(with_title[-30:, :300], np.full((30, 300, 3), 77))
    assert has_ink(with_title[:-30])
    longer = titled(picture, "word " * 40)
    assert len(longer) > len(with_title)
    assert longer.shape[1] == 300


def test_a_long_word_widens_the_picture():
    assert titled(np.zeros((4, 20, 3), np.uint8), "x" * 60).shape[1] > 200


def test_captions_stand_under_their_images():
    picture = captioned(IMAGES, ["one", "", "", "", "", ""], columns=3)
    height, width = picture.shape[0] // 2, picture.shape[1] // 3
    assert has_ink(picture[height - 18 : height, :width])
    assert not has_ink(picture[height - 18 : height - 2, width + 4 : 2 * width])


def test_names_stand_at_the_left_of_their_rows():
    rows = IMAGES.reshape(2, 3, 8, 8, 1)
    picture = named_rows(rows, ["", "second row"])
    left = picture.shape[1] - (3 * 40 + 2 * 2)
    assert not has_ink(picture[:40, :left])
    assert has_ink(picture[42:, :left])
    np.testing.assert_array_equal(picture[:40:5, left : left + 40 : 5, 0], IMAGES[0, ..., 0])


def test_ticks_leave_the_grid_as_it_is():
    rows = IMAGES.reshape(2, 3, 8, 8, 1)
    picture = ticked(rows, np.array([-1.0, 0, 1]), np.array([0.0, 2]), ("across", "up"))
    inner = picture[18 : 18 + 16, 52 : 52 + 24, 0]
    np.testing.assert_array_equal(inner, rows[..., 0].swapaxes(1, 2).reshape(16, 24))
    assert has_ink(picture[18 + 16 :])
    assert has_ink(picture[:, :50])


def test_bars_are_as_high_as_the_density():
    """A spread-out dimension has low bars where a narrow one has high ones."""
    noise = np.random.default_rng(0).normal(size=(4000, 1))
    picture = histograms(np.concatenate([noise, 0.3 * noise], axis=1), ["a", "b"])
    blue = (picture == ImageColor.getrgb(PALETTE[0])).all(axis=-1)
    wide, narrow = blue[:, :120], blue[:, 126:]
    assert wide.any(axis=0).sum() > 2 * narrow.any(axis=0).sum()
    assert wide.sum(axis=0).max() < narrow.sum(axis=0).max()
    assert picture.shape == (84, 246, 3)


def test_short_has_no_minus_zero():
    assert [short(value) for value in (-0.04, 0.04, -1.25, 2)] == ["0.0", "0.0", "-1.2", "2.0"]
