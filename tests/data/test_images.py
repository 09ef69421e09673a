import io

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data.images import Conversion, fit, fitted_shape, with_channels


def png(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=options.pop("format", "PNG"), **options)
    return buffer.getvalue()


RAMP = np.array([[0, 1, 128], [129, 254, 255]], np.uint8)


@pytest.mark.parametrize(
    "file",
    [
        png(Image.fromarray(RAMP)),
        png(Image.fromarray(RAMP.astype(np.uint16) * 257)),
        png(Image.fromarray(RAMP.astype(np.int32) * 257), format="TIFF"),
        png(Image.fromarray(RAMP.astype(np.float32)), format="TIFF"),
        png(Image.fromarray(RAMP.astype(np.float32) / 255), format="TIFF"),
        png(Image.fromarray(RAMP).convert("RGB")),
        png(Image.fromarray(RAMP).convert("RGBA")),
        png(Image.fromarray(RAMP).convert("LA")),
    ],
    ids=["8 bit", "16 bit", "32 bit", "float 255", "float 1", "RGB", "RGBA", "LA"],
)
def test_every_depth_gives_the_same_eight_bits(file):
    grey = Conversion(channels=1)(file)
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey[..., 0], RAMP)
    np.testing.assert_array_equal(Conversion(channels=3)(file), np.repeat(RAMP[..., None], 3, axis=-1))


def test_transparency_becomes_white():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    assert Conversion(channels=3)(png(image)).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    grey = Image.new("LA", (2, 1), (10, 255))
    grey.putpixel((1, 0), (10, 0))
    assert Conversion(channels=1)(png(grey)).tolist() == [[[10], [255]]]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([0, 0, 255, 9, 9, 9])
    palette.putpixel((1, 0), 1)
    assert Conversion(channels=3)(png(palette, transparency=1)).tolist() == [[[0, 0, 255], [255, 255, 255]]]


def test_one_bit_cmyk_and_palette():
    assert Conversion(channels=1)(png(Image.new("1", (1, 1), 1))).tolist() == [[[255]]]
    cyan = Conversion(channels=3)(png(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), format="JPEG", quality=100))[4, 4]
    np.testing.assert_allclose(cyan, [0, 255, 255], atol=4)
    palette = Image.new("RGB", (1, 1), (12, 200, 7)).quantize(2)
    np.testing.assert_allclose(Conversion(channels=3)(png(palette))[0, 0], [12, 200, 7], atol=2)


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    file = png(frames[0], format="GIF", save_all=True, append_images=frames[1:])
    assert Conversion(channels=3)(file)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_is_applied(code):
    """The stored pixels of a picture whose first row is bright, for each of EXIF's eight codes."""
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255
    inverse = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = code
    file = png(Image.fromarray(np.ascontiguousarray(inverse[code])), format="PNG", exif=exif)
    np.testing.assert_array_equal(Conversion(channels=1)(file)[..., 0], upright)


def test_fit_cuts_the_centre():
    values = np.arange(60, dtype=np.uint8).reshape(6, 10)
    image = Image.fromarray(values)
    np.testing.assert_array_equal(np.asarray(fit(image, crop=2, size=None)), values[2:4, 4:6])
    np.testing.assert_array_equal(np.asarray(fit(image, crop=None, size=6)), values[:, 2:8])
    assert fit(image, crop=None, size=None) is image
    assert fit(image, crop=100, size=None).size == (6, 6)
    for crop, size in ((None, None), (2, None), (None, 3), (100, None), (4, 9)):
        fitted = fit(image, crop=crop, size=size)
        assert fitted_shape(6, 10, crop=crop, size=size) == (fitted.height, fitted.width)


def test_shrinking_is_antialiased_and_one_pixel_can_grow():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    small = np.asarray(fit(stripes, crop=None, size=8)).astype(int)
    assert np.abs(small - 127.5).max() < 12
    grown = fit(Image.new("RGB", (1, 1), (3, 5, 7)), crop=None, size=4)
    assert (np.asarray(grown) == [3, 5, 7]).all()


def test_pixels_outside_the_crop_do_not_bleed_in():
    values = np.zeros((12, 12), np.uint8)
    values[4:8, 4:8] = 200
    assert (np.asarray(fit(Image.fromarray(values), crop=4, size=9)) == 200).all()


def test_with_channels_agrees_with_pillow():
    colours = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    ours = with_channels(colours, 1)[..., 0].astype(int)
    theirs = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in colours])
    assert np.abs(ours - theirs).max() <= 1
    assert with_channels(colours, None) is colours
    np.testing.assert_array_equal(with_channels(colours[..., :1], 3)[..., 2], colours[..., 0])
