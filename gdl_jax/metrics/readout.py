"""How far images have attributes, read from their pixels by the best linear functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

Images = UInt8[np.ndarray, "n height width channels"]


@dataclass(frozen=True, eq=False)
class Readout:
    """A linear function of pixels for each attribute.

    Attributes:
        mean: the image that gives `offset`.
        weights: of the pixels.
        offset: added.
    """

    mean: Float[np.ndarray, " pixels"]
    weights: Float[np.ndarray, "pixels attributes"]
    offset: Float[np.ndarray, " attributes"]

    def __call__(self, images: Images) -> Float[np.ndarray, "n attributes"]:
        """About 1 where an image has an attribute, about 0 where it lacks it."""
        return (_flat(images) - self.mean) @ self.weights + self.offset


def fit_readout(images: Images, has_it: Bool[np.ndarray, "n attributes"], *, ridge: float = 0.01) -> Readout:
    """Ridge regression of 0 and 1 on the pixels, in its dual form, which needs n x n numbers only.

    Args:
        images: with the attributes and without.
        has_it: which have which.
        ridge: times the mean squared length of an image round the mean image, the penalty on squared weights.
    """
    flat = _flat(images)
    mean, share = flat.mean(axis=0), has_it.mean(axis=0, dtype=np.float32)
    centred = flat - mean
    kernel = centred @ centred.T
    kernel[np.diag_indices_from(kernel)] += ridge * np.trace(kernel) / len(kernel)
    weights = centred.T @ np.linalg.solve(kernel, has_it.astype(np.float32) - share)
    return Readout(mean, weights, share)


def area_under_curve(scores: Float[np.ndarray, " n"], has_it: Bool[np.ndarray, " n"]) -> float:
    """The probability that one who has the attribute scores above one who lacks it; ties count half.

    The area under the receiver operating characteristic: 1 for a perfect score, 1/2 for one that says nothing.
    """
    with_it, without = scores[has_it][:, None], scores[~has_it][None, :]
    return float((with_it > without).mean() + 0.5 * (with_it == without).mean())


def _flat(images: Images) -> Float[np.ndarray, "n pixels"]:
    return images.reshape(len(images), -1).astype(np.float32) / 255
