"""Grey pictures of biscuit tins, which two numbers describe: Foster, chapter 1, figure 1-14."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

HEIGHTS, WIDTHS = (0.2, 0.65), (0.25, 0.8)
"""Smallest and largest, as parts of the picture's side."""

GROUND, TILT = 0.84, 0.14
"""Where the tins stand, and the height of a lid as seen over its width."""


def draw_tins(
    heights: Float[np.ndarray, " n"], widths: Float[np.ndarray, " n"], size: int = 32
) -> Float[np.ndarray, "n size size"]:
    """Cylinders on black, lit from the left, all from one place; float32 in [0, 1].

    Args:
        heights: of the body, as parts of the picture's side, within `HEIGHTS` for a tin that fits into the picture.
        widths: likewise, within `WIDTHS`.
        size: height and width of the pictures in pixels.
    """
    heights, widths = heights[:, None, None], widths[:, None, None]
    centres = (np.arange(size) + 0.5) / size
    x, y = centres[None, None, :] - 0.5, centres[None, :, None]
    across = x / (widths / 2)
    lip = TILT * widths / 2
    curve = lip * np.sqrt(np.clip(1 - across**2, 0, 1))
    lid, floor = GROUND - heights, GROUND

    def inside(distance: np.ndarray) -> np.ndarray:
        """1 inside, 0 outside, and a slope one pixel wide between."""
        return np.clip(0.5 + distance * size, 0, 1)

    on_body = inside(widths / 2 - np.abs(x)) * inside(y - lid) * inside(floor + curve - y)
    on_lid = inside(widths / 2 - np.abs(x)) * inside(curve - np.abs(y - lid))
    body = 0.25 + 0.5 * np.sqrt(np.clip(1 - (np.clip(across, -1, 1) + 0.4) ** 2 / 1.96, 0, 1))
    picture = on_body * body
    return (picture * (1 - on_lid) + 0.95 * on_lid).astype(np.float32)


def random_tins(num: int, seed: int) -> Float[np.ndarray, "2 num"]:
    """Heights and widths, uniform and independent, float32."""
    random = np.random.default_rng(seed)
    return np.stack([random.uniform(*HEIGHTS, num), random.uniform(*WIDTHS, num)]).astype(np.float32)


def measure_tins(pictures: Float[np.ndarray, "n size size"], steps: int = 64) -> Float[np.ndarray, "2 n"]:
    """Height and width of the drawn tin that is nearest to each picture by squared error.

    Args:
        pictures: in [0, 1].
        steps: how many heights and widths are tried, evenly over a range a tenth wider than that of `random_tins`.
    """
    ranges = [
        np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), steps) for low, high in (HEIGHTS, WIDTHS)
    ]
    heights, widths = (values.ravel() for values in np.meshgrid(*ranges, indexing="ij"))
    drawn = draw_tins(heights, widths, pictures.shape[1]).reshape(steps**2, -1)
    flat = pictures.reshape(len(pictures), -1)
    # |p - d|^2 without |p|^2, which is the same for all d.
    nearest = (np.square(drawn).sum(axis=1) - 2 * flat @ drawn.T).argmin(axis=1)
    return np.stack([heights[nearest], widths[nearest]]).astype(np.float32)
