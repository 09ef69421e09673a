"""A coarse map of the world without Antarctica: where there is land."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw

OUTLINES = {
    "North America": """-168 66 -162 70 -141 70 -125 70 -110 68 -95 69 -82 68 -94 60 -92 57 -82 55 -79 52 -78 58 -77 62
        -68 58 -64 60 -56 52 -60 47 -65 44 -70 43 -74 40.3 -76 35 -81 31 -80 25 -83 29 -90 30 -97 27 -97 21 -94 18
        -91 19 -87 21 -88 16 -83 14 -83 10 -78 9 -80 7 -85 10 -92 14 -97 16 -105 20 -109 26 -114 31 -112 25 -110 23
        -115 30 -118 34 -124 40 -124 48 -131 54 -140 60 -150 61 -158 56 -164 55 -158 59 -166 62""",
    "Greenland": "-55 82 -30 83 -18 79 -20 73 -32 68 -43 60 -51 63 -54 70 -68 76",
    "South America": """-78 8 -72 12 -62 10 -50 1 -44 -3 -35 -6 -37 -12 -39 -17 -42 -23 -48 -26 -54 -34 -58 -36
        -62 -39 -65 -43 -67 -47 -69 -52 -72 -53 -75 -48 -73 -40 -71 -30 -70 -18 -76 -14 -81 -5 -79 1""",
    "Africa": """-6 36 10 37 11 33 20 31 31 31 34 27 37 20 43 12 51 11 45 2 40 -5 40 -15 35 -22 32 -28 26 -34 18 -34
        14 -24 12 -14 13 -6 9 1 8 4 -2 5 -8 4 -13 9 -17 15 -16 22 -10 30""",
    "Madagascar": "49 -12 50 -16 47 -25 44 -24 44 -18",
    "Eurasia": """-9 43 -9 37 -5 36 0 39 4 43 9 44 12 42 16 38 18 40 13 45 19 42 23 36 26 40 29 41 36 42 42 41 40 43
        35 45 28 41 27 37 36 36 35 31 39 21 43 13 52 17 59 22 56 26 51 28 50 30 57 27 62 25 67 24 71 20 73 17 76 8
        78 8 80 13 82 17 88 22 92 22 95 16 98 16 99 8 103 1 104 2 101 7 100 13 105 9 109 12 106 19 109 21 114 22
        121 28 121 32 119 37 122 40 126 35 129 36 128 40 135 44 141 52 137 54 143 59 155 59 156 51 163 57 164 61
        175 62 180 65 180 69 160 70 140 73 113 74 105 78 80 73 68 69 60 69 44 66 40 65 33 67 41 67 28 71 20 70 13 66
        6 62 6 58 11 59 13 55 17 57 18 62 24 66 22 61 30 60 24 58 21 55 12 54 8 57 8 54 3 51 -2 49 -4 48 -1 44""",
    "Britain": "-5 50 1 51 0 54 -2 57 -5 58.5 -5 55 -3 53.5",
    "Ireland": "-10 52 -6 52 -6 55 -9 54",
    "Iceland": "-24 65 -18 63.3 -14 65 -18 66.5",
    "Japan": "130 31 136 34 140 35 142 40 145 44 142 45 140 41 136 36 131 34",
    "Sumatra": "95 5 103 -1 106 -6 101 -3",
    "Java": "106 -6 114 -7 114 -8.5 106 -7",
    "Borneo": "109 1 117 7 119 4 116 -4 110 -3",
    "Sulawesi": "119 -5 120 1 125 1 121 -1 123 -5",
    "New Guinea": "131 -1 141 -3 150 -10 143 -9 138 -8 133 -4",
    "Philippines": "120 18 122 18 126 7 122 7 120 14",
    "Australia": """114 -22 122 -18 129 -15 132 -11 136 -12 136 -15 140 -18 142 -11 146 -19 153 -26 150 -37 145 -38.5
        140 -38 136 -34 131 -31 124 -33 118 -35 115 -34""",
    "Tasmania": "145 -41 148 -41 147 -43.5",
    "New Zealand": "173 -35 178 -38 175 -41 171 -46 167 -46 172 -41 174 -39",
}
"""Coasts as longitude and latitude in degrees, a corner every few hundred kilometres."""


@cache
def land_mask() -> Bool[np.ndarray, "360 720"]:
    """Half a degree per pixel, from 90 degrees north and 180 west on; equal angles, so that the poles are stretched."""
    image = Image.new("1", (720, 360))
    draw = ImageDraw.Draw(image)
    for outline in OUTLINES.values():
        corners = np.array(outline.split(), np.float64).reshape(-1, 2)
        draw.polygon([(2 * (longitude + 180), 2 * (90 - latitude)) for longitude, latitude in corners], fill=1)
    return np.array(image)


def is_land(points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Whether there is land at each (latitude, longitude) in degrees."""
    rows = np.clip(2 * (90 - points[:, 0]), 0, 359).astype(int)
    columns = np.clip(2 * (points[:, 1] + 180), 0, 719).astype(int)
    return land_mask()[rows, columns]


def land_points(num: int, seed: int) -> Float[np.ndarray, "num 2"]:
    """Points that are uniform over the land of the flat map (not of the sphere): (latitude, longitude), float32."""
    random = np.random.default_rng(seed)
    points = np.empty((0, 2), np.float32)
    while len(points) < num:
        tried = random.uniform((-90, -180), (90, 180), (4 * num, 2)).astype(np.float32)
        points = np.concatenate([points, tried[is_land(tried)]])
    return points[:num]
