"""Where every pixel of a grid lies, and that files are whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gdl_jax.files import write_atomically
from gdl_jax.pictures import grid as pictures
from gdl_jax.pictures.grid import grid, rows, save_gif, save_png, strip, visible_zoom


def images(count: int, channels: int = 1, height: int = 2, width: int = 3) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 250, (count, height, width, channels), np.uint8)


@pytest.mark.parametrize(("count", "columns", "gap"), [(1, None, 1), (5, None, 1), (6, 3, 0), (7, 2, 4), (2, 5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_a_grid_is_an_image_or_white(count, columns, gap, channels):
    batch = images(count, channels)
    across = columns or int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    expected = np.full((down * 2 + (down - 1) * gap, across * 3 + (across - 1) * gap, channels), 255, np.uint8)
    for index, image in enumerate(batch):
        top, left = index // across * (2 + gap), index % across * (3 + gap)
        expected[top : top + 2, left : left + 3] = image
    np.testing.assert_array_equal(grid(batch, columns, gap), expected)


def test_a_strip_is_one_row():
    batch = images(4)
    np.testing.assert_array_equal(strip(batch, gap=0), np.concatenate(list(batch), axis=1))


def test_rows_align_examples_and_turn_grey_into_colour():
    colour, grey = images(3, channels=3), images(3, channels=1)
    picture = rows(colour, grey, gap=1)
    assert picture.shape == (2 * 2 + 1, 3 * 3 + 2, 3)
    np.testing.assert_array_equal(picture[:2, 4:7], colour[1])
    np.testing.assert_array_equal(picture[3:, 4:7], np.repeat(grey[1], 3, axis=-1))


def test_what_has_no_grid_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        grid(images(0))
    with pytest.raises(ValueError, match="at least one image"):
        strip(images(0))
    with pytest.raises(ValueError, match="columns=0"):
        grid(images(2), columns=0)
    with pytest.raises(ValueError, match="at least one batch"):
        rows()
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 1\) and \(3, 2, 3, 1\)"):
        rows(images(2), images(3))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
@pytest.mark.parametrize("zoom", [1, 3])
def test_png_round_trip(tmp_path, shape, zoom):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    save_png(tmp_path / "new folder" / "a.png", picture, zoom)
    with Image.open(tmp_path / "new folder" / "a.png") as file:
        stored = np.asarray(file)
    assert stored.shape[:2] == (5 * zoom, 4 * zoom)
    np.testing.assert_array_equal(stored[::zoom, ::zoom], picture.reshape(stored[::zoom, ::zoom].shape))
    np.testing.assert_array_equal(stored, stored[::zoom, ::zoom].repeat(zoom, 0).repeat(zoom, 1))


def test_small_pictures_are_enlarged_until_visible(tmp_path):
    save_png(tmp_path / "a.png", np.zeros((28, 58), np.uint8))
    with Image.open(tmp_path / "a.png") as file:
        assert file.size == (9 * 58, 9 * 28)
    assert visible_zoom(600, 600) == 1
    assert visible_zoom(5000, 8) == 1
    assert visible_zoom(1000, 8) == 4


def test_pictures_of_other_channels_and_zooms_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 channel"):
        save_png(tmp_path / "a.png", np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(ValueError, match="zoom"):
        save_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8), zoom=0)
    assert list(tmp_path.iterdir()) == []


def test_gif_holds_all_frames_in_time(tmp_path):
    frames = np.zeros((3, 4, 5, 1), np.uint8)
    frames[1], frames[2] = 100, 200
    save_gif(tmp_path / "a.gif", frames, milliseconds=70, zoom=2)
    with Image.open(tmp_path / "a.gif") as file:
        assert (file.n_frames, file.size, file.info["loop"], file.info["duration"]) == (3, (10, 8), 0, 70)
        for index in range(3):
            file.seek(index)
            np.testing.assert_array_equal(np.asarray(file.convert("L")), index * 100)
    with pytest.raises(ValueError, match="0 frames"):
        save_gif(tmp_path / "b.gif", frames[:0])


def test_a_colour_gif_keeps_its_colours(tmp_path):
    frames = np.broadcast_to(np.array([[200, 30, 90]], np.uint8), (2, 4, 4, 3)).copy()
    frames[1, 0, 0] = 0
    save_gif(tmp_path / "a.gif", frames, zoom=1)
    with Image.open(tmp_path / "a.gif") as file:
        file.seek(1)
        np.testing.assert_array_equal(np.asarray(file.convert("RGB")), frames[1])


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    save_png(path, np.zeros((4, 4), np.uint8))
    before = path.read_bytes()

    def half_a_file(image, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pictures.Image.Image, "save", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        save_png(path, np.ones((4, 4), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_under_way_has_another_name(tmp_path):
    def look(file):
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "a.png").exists()
        assert list(tmp_path.glob("*.png")) == []

    write_atomically(tmp_path / "a.png", look)
    assert (tmp_path / "a.png").read_bytes() == b"half"
