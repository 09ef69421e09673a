"""How like a pair of images, masks, sounds or texts is: each against its reference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from gdl_jax.metrics.divergences import jensen_shannon

Images = Float[np.ndarray, "num height width channels"]
Sound = Float[np.ndarray, " samples"]

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, the finest first: Wang, Simoncelli, Bovik 2003, section 3.2."""

LEAST_ENERGY = 1e-10
"""Keeps a logarithm finite where sounds are silent or equal."""


def ssim(images: Images, references: Images) -> Float[np.ndarray, " num"]:
    """Structural similarity of images in [0, 1], at most 1: Wang et al. 2004 (doi:10.1109/TIP.2003.819861), eq. 13.

    With their Gaussian window of 11x11 pixels and standard deviation 1.5, K = 0.01 and 0.03, wherever the window lies
    inside of the image; the mean over places and channels.

    Raises:
        ValueError: the shapes differ, or a side is less than 11 pixels.
    """
    luminance, structure = _ssim_maps(images, references)
    return (luminance * structure).mean((1, 2, 3))


def ms_ssim(images: Images, references: Images, *, scales: int = 5) -> Float[np.ndarray, " num"]:
    """Structural similarity on several scales, each half the one before: Wang, Simoncelli, Bovik 2003, eq. 7.

    Means below 0 count as 0. With fewer than their five scales the weights of those that are left add up to as much as
    all five.

    Args:
        images: in [0, 1].
        references: likewise.
        scales: 1 to 5; see `scales_of`.

    Raises:
        ValueError: the shapes differ, or a side is less than 11 pixels on the last scale.
    """
    _check_same(images, references)
    least = 11 * 2 ** (scales - 1)
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"MS-SSIM on {scales} scales takes images of {least} pixels a side or more, not {images.shape[1:3]}."
        )
    total = np.ones(len(images))
    weights = np.array(SCALE_WEIGHTS[:scales]) * (sum(SCALE_WEIGHTS) / sum(SCALE_WEIGHTS[:scales]))
    for i, weight in enumerate(weights):
        luminance, structure = _ssim_maps(images, references)
        last = i == scales - 1
        total *= np.maximum((luminance * structure if last else structure).mean((1, 2, 3)), 0) ** weight
        images, references = _halved(images), _halved(references)
    return total


def scales_of(height: int, width: int) -> int:
    """On how many of the five scales images of this size have 11 pixels a side; 0 where they are smaller."""
    return sum(min(height, width) >= 11 * 2**scale for scale in range(len(SCALE_WEIGHTS)))


def iou(masks: Bool[np.ndarray, " num *size"], references: Bool[np.ndarray, " num *size"]) -> Float[np.ndarray, " num"]:
    """Intersection over union, the index of Jaccard 1901; 1 where both are empty.

    A soft form, (I + 0.001) / (U + 0.001), has the same values but for the thousandths.

    Raises:
        ValueError: the shapes differ.
    """
    both, either = _overlap(masks, references)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def dice(
    masks: Bool[np.ndarray, " num *size"], references: Bool[np.ndarray, " num *size"]
) -> Float[np.ndarray, " num"]:
    """Twice the intersection over the sum of both areas: Dice 1945; 1 where both are empty.

    Raises:
        ValueError: the shapes differ.
    """
    both, either = _overlap(masks, references)
    return np.where(either > 0, 2 * both / np.maximum(both + either, 1), 1.0)


def snr(estimate: Sound, clean: Sound) -> float:
    """Signal-to-noise ratio in dB: 10 log10(sum x^2 / sum (x - estimate)^2).

    Raises:
        ValueError: the lengths differ.
    """
    _check_same(estimate, clean)
    return float(
        _decibels(np.square(clean, dtype=np.float64).sum(), np.square(clean - estimate, dtype=np.float64).sum())
    )


def segmental_snr(
    estimate: Sound, clean: Sound, rate: int, *, seconds: float = 0.03, limits: tuple[float, float] = (-10.0, 35.0)
) -> float:
    """The mean of the SNR in dB over frames, each cut to the limits: Hansen, Pellom 1998; Loizou 2013, section 11.1.1.

    Hann windows that begin a quarter of their length after each other; a sound that is shorter is one frame.

    Args:
        estimate: what is judged, aligned with `clean`.
        clean: the reference.
        rate: samples a second.
        seconds: length of a frame.
        limits: of a frame's value.

    Raises:
        ValueError: the lengths differ.
    """
    _check_same(estimate, clean)
    length = min(round(seconds * rate), len(clean))
    starts = range(0, len(clean) - length + 1, max(length // 4, 1))
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))
    signal = np.stack([clean[at : at + length] * window for at in starts]).astype(np.float64)
    noise = np.stack([(clean - estimate)[at : at + length] * window for at in starts]).astype(np.float64)
    return float(np.clip(_decibels(np.square(signal).sum(1), np.square(noise).sum(1)), *limits).mean())


def ngram_divergence(texts: Iterable[Sequence[Hashable]], references: Iterable[Sequence[Hashable]], n: int) -> float:
    """Jensen-Shannon divergence in bits, from 0 to 1, between the frequencies of n-grams in two sets of texts.

    Raises:
        ValueError: one of the sets has no n-gram.
    """
    p, q = (Counter(tuple(t[i : i + n]) for t in part for i in range(len(t) - n + 1)) for part in (texts, references))
    if not p or not q:
        raise ValueError(f"There is no sequence of {n} in one of the two sets of texts.")
    grams = p.keys() | q.keys()
    counts = (np.array([part[gram] for gram in grams]) for part in (p, q))
    return jensen_shannon(*counts) / math.log(2)


def _ssim_maps(images: Images, references: Images) -> tuple[np.ndarray, np.ndarray]:
    """The terms of luminance, and of contrast and structure."""
    _check_same(images, references)
    if min(images.shape[1:3]) < 11:
        raise ValueError(f"SSIM takes images of 11 pixels a side or more, not {images.shape[1:3]}.")
    x, y = images.astype(np.float64), references.astype(np.float64)
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    var_x = _smoothed(x * x) - mean_x**2
    var_y = _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    c, d = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c) / (mean_x**2 + mean_y**2 + c)
    return luminance, (2 * covariance + d) / (var_x + var_y + d)


def _smoothed(x: Images) -> Float[np.ndarray, "num _height _width channels"]:
    for axis in (1, 2):
        x = gaussian_filter1d(x, 1.5, axis, radius=5)
    return x[:, 5:-5, 5:-5]


def _halved(x: Images) -> Float[np.ndarray, "num _height _width channels"]:
    n, height, width, channels = x.shape
    return x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def _overlap(masks: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _check_same(masks, references)
    a, b = (np.asarray(m, bool).reshape(len(m), -1) for m in (masks, references))
    return (a & b).sum(1), (a | b).sum(1)


def _decibels(signal: np.ndarray | np.floating, noise: np.ndarray | np.floating) -> np.ndarray | np.floating:
    return 10 * np.log10((signal + LEAST_ENERGY) / (noise + LEAST_ENERGY))


def _check_same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"Both have to have the same shape; they have {a.shape} and {b.shape}.")
