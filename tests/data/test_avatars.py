import numpy as np
import pytest

from gdl_jax.data.avatars import COLOURS, INDEX, INKS, draw_avatars, draw_indices
from gdl_jax.data.wrodl import ATTRIBUTES, encode, every_style, load_rows

PLAIN = {
    "accessoriesType": "Blank",
    "clotheColor": "Red",
    "clotheType": "ShirtVNeck",
    "hairColor": "Brown",
    "topType": "LongHairStraight",
}


def test_palette_has_256_colours_and_the_inks_first():
    assert COLOURS.shape == (256, 3)
    np.testing.assert_array_equal(COLOURS[: len(INKS)], list(INKS.values()))
    used = np.unique(draw_indices(load_rows()))
    assert 0 not in used
    assert used.max() < len(INKS)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_value_of_an_attribute_looks_different(attribute):
    rows = np.stack([encode(**PLAIN | {attribute: value}) for value in ATTRIBUTES[attribute]])
    pictures = draw_indices(rows, 32).reshape(len(rows), -1)
    assert len(np.unique(pictures, axis=0)) == len(rows)


def test_all_styles_can_be_told_apart_but_for_the_colour_of_no_hair():
    pictures = draw_indices(every_style()).reshape(4032, -1)
    bald = 4032 // 7
    assert len(np.unique(pictures, axis=0)) == 4032 - bald + bald // 6


def test_the_face_is_the_same_on_all():
    pictures = draw_indices(every_style())
    same = (pictures == pictures[0]).all(axis=0)
    assert 0.2 < same.mean() < 0.8
    # The mouth, and the sky in the corner.
    assert same[18, 14]
    assert pictures[0, 0, 0] == INDEX["sky"]
    assert (pictures[:, 15:20] == INDEX["mouth"]).any(axis=(1, 2)).all()


def test_smooth_pictures_have_the_colours_of_the_flat_ones():
    rows = load_rows()[:3]
    smooth = draw_avatars(rows, 40)
    assert smooth.shape == (3, 40, 40, 3)
    assert smooth.dtype == np.uint8
    np.testing.assert_array_equal(smooth[:, 0, 0], np.tile(INKS["sky"], (3, 1)))
    assert np.abs(smooth.astype(int) - COLOURS[draw_indices(rows, 40)]).mean() < 12
