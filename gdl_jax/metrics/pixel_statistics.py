"""Statistics of pixels that tell generated images from real ones.

Centroids, slopes and moments: Valle, Cai, Doshi 2018 (arXiv:1807.04919).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

WINDOW = 7


def sharpness(images: UInt8[np.ndarray, "n height width channels"]) -> Float[np.ndarray, " n"]:
    """Variance over an image of its Laplacian, the sum of the four neighbours minus four times the pixel.

    Of the mean of the colours, in [0, 1], at all pixels that have four neighbours: Pech-Pacheco et al. 2000, eq. 5. It
    is small where edges are soft, and large for noise too.

    Raises:
        ValueError: a side is less than 3 pixels.
    """
    if min(images.shape[1:3]) < 3:
        raise ValueError(f"Sharpness takes images of 3 pixels a side or more, not {images.shape[1:3]}.")
    grey = images.mean(axis=3) / 255
    vertical, horizontal = (np.diff(grey, 2, axis=axis) for axis in (1, 2))
    return (vertical[:, :, 1:-1] + horizontal[:, 1:-1]).var(axis=(1, 2))


def column_centroids(images: Float[np.ndarray, "n height width"]) -> Float[np.ndarray, "n width"]:
    """For every column the mean row, its pixels being the weights: sum_r r I[r, j] / (sum_r I[r, j] + eps).

    The image's spectral centroid (Peeters 2004). Of an empty column it is 0.

    Args:
        images: grey, in [0, 1].
    """
    images = images.astype(np.float64)
    rows = np.arange(images.shape[1])
    return np.einsum("r,nrj->nj", rows, images) / (images.sum(axis=1) + np.finfo(np.float64).eps)


def slopes(curves: Float[np.ndarray, "n width"], window: int = WINDOW) -> Float[np.ndarray, "n windows"]:
    """Of the line fitted by least squares to every `window` neighbours: sum_k (k - m) c_{i + k} / sum_k (k - m)^2.

    m is the mean of k = 0 ... window - 1.

    Raises:
        ValueError: the window is shorter than 2 or longer than the curve.
    """
    if not 2 <= window <= curves.shape[1]:
        raise ValueError(f"A window has 2 to {curves.shape[1]} points, not {window}.")
    k = np.arange(window) - (window - 1) / 2
    return np.lib.stride_tricks.sliding_window_view(curves, window, axis=1) @ k / (k @ k)


def moments(values: Float[np.ndarray, ...]) -> dict[str, float]:
    """Mean, variance, skewness and kurtosis (3 for a normal); the last two are 0 where nothing varies."""
    values = np.asarray(values, np.float64)
    centred = values - values.mean()
    variance = float(np.square(centred).mean())
    standard = centred / np.sqrt(variance) if variance else centred
    return {
        "mean": float(values.mean()),
        "variance": variance,
        "skewness": float((standard**3).mean()),
        "kurtosis": float((standard**4).mean()),
    }
