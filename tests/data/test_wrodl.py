import numpy as np

from gdl_jax.data.wrodl import ATTRIBUTES, SIZES, encode, every_style, load_rows

COUNTS = {
    "topType": (7, 0, 1, 23, 1, 11, 7),
    "hairColor": (7, 6, 2, 3, 8, 24),
    "clotheColor": (0, 4, 10, 5, 2, 4, 3, 22),
    "accessoriesType": (11, 22, 17),
    "clotheType": (7, 18, 19, 6),
}

FIRST = """
Round White ShirtScoopNeck Red ShortHairShortFlat
Round White Overall SilverGray ShortHairFrizzle
Sunglasses White ShirtScoopNeck Blonde ShortHairShortFlat
Round White ShirtScoopNeck Red LongHairStraight
Round White Overall SilverGray NoHair
Blank White Overall Black LongHairStraight
Sunglasses White Overall SilverGray LongHairStraight
Round White ShirtScoopNeck SilverGray ShortHairShortFlat
Round Pink Hoodie SilverGray LongHairStraight
Round PastelOrange ShirtScoopNeck Blonde LongHairStraight
"""


def test_counts_are_those_of_the_text():
    rows = load_rows()
    assert rows.shape == (50, 5)
    for column, (name, values) in zip(rows.T, ATTRIBUTES.items(), strict=True):
        assert tuple(np.bincount(column, minlength=len(values))) == COUNTS[name]


def test_first_ten_rows_are_those_of_the_text():
    wanted = [encode(**dict(zip(ATTRIBUTES, line.split(), strict=True))) for line in FIRST.strip().splitlines()]
    np.testing.assert_array_equal(load_rows()[:10], wanted)


def test_one_style_occurs_twice_and_the_same_in_blue_never():
    rows, names = load_rows(), dict(zip(ATTRIBUTES, FIRST.strip().splitlines()[3].split(), strict=True))
    for colour, times in (("White", 2), ("Blue01", 0)):
        assert (rows == encode(**names | {"clotheColor": colour})).all(axis=1).sum() == times


def test_every_style_once():
    styles = every_style()
    assert SIZES == (3, 8, 4, 6, 7)
    assert styles.shape == (4032, 5)
    assert len(np.unique(styles, axis=0)) == 4032
    np.testing.assert_array_equal(styles.max(axis=0) + 1, SIZES)
