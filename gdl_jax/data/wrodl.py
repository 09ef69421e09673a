"""Fashion of fifty inhabitants of planet Wrodl: Foster, *Generative Deep Learning*, chapter 1, figures 1-7 to 1-9."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

ATTRIBUTES = {
    "accessoriesType": ("Blank", "Round", "Sunglasses"),
    "clotheColor": ("Black", "Blue01", "Grey01", "PastelGreen", "PastelOrange", "Pink", "Red", "White"),
    "clotheType": ("Hoodie", "Overall", "ShirtScoopNeck", "ShirtVNeck"),
    "hairColor": ("Black", "Blonde", "Brown", "PastelPink", "Red", "SilverGray"),
    "topType": (
        "NoHair",
        "LongHairBun",
        "LongHairCurly",
        "LongHairStraight",
        "ShortHairShortWaved",
        "ShortHairShortFlat",
        "ShortHairFrizzle",
    ),
}
"""The values of each attribute, in the order of the rows' columns."""

SIZES = tuple(len(values) for values in ATTRIBUTES.values())

# The text prints the first ten rows, the number of faces with each value, and that (Round, White, ShirtScoopNeck, Red,
# LongHairStraight) occurs twice and the same with Blue01 never. The other forty rows are random within all that.
ROWS = """
    17245 17156 27215 17243 17150 07103 27153 17255 15053 14213
    27223 17355 07253 17023 26155 22113 01303 17310 02236 17243
    17140 23050 22210 26155 14303 12145 07054 26043 22043 17250
    23253 12152 25153 27156 22253 05155 27133 02035 21206 17253
    17206 03253 11213 12106 02153 01150 17253 13105 05355 23346
"""


def load_rows() -> Int[np.ndarray, "50 5"]:
    """The fifty faces, as indices into the values of `ATTRIBUTES`, int32; face_id is the row."""
    return np.array([[int(digit) for digit in word] for word in ROWS.split()], np.int32)


def encode(**values: str) -> Int[np.ndarray, " 5"]:
    """The row of one style.

    Example:
        encode(accessoriesType="Round", clotheColor="White", clotheType="Hoodie", hairColor="Red", topType="NoHair")
    """
    return np.array([options.index(values[name]) for name, options in ATTRIBUTES.items()], np.int32)


def every_style() -> Int[np.ndarray, "4032 5"]:
    """All combinations."""
    return np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1).astype(np.int32)
