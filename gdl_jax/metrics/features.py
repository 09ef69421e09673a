"""What a metric sees of an image: its pixels, or the features of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8
from PIL import Image

from gdl_jax.data.images import with_channels
from gdl_jax.data.transforms import scale
from gdl_jax.metrics.pixels import FEATURES, pixel_features

IMAGES_PER_CALL = 256

Images = UInt8[np.ndarray, "num height width channels"]


@dataclass(frozen=True)
class Features:
    """Numbers that stand for an image.

    Attributes:
        name: metrics are called after it: frechet_NAME.
        description: what they are, for the protocol of a metric.
        of: images, 0 to 255 -> their features (num, units).
        sha256: of the network's weights, in hexadecimal digits; "" without weights.
        log_probabilities: images -> those of the classes; None where the network tells no classes.
    """

    name: str
    description: str
    of: Callable[[Images], Float[np.ndarray, "num units"]]
    sha256: str = ""
    log_probabilities: Callable[[Images], Float[np.ndarray, "num classes"]] | None = None


PIXELS = Features(FEATURES, "8x8 cell means of the pixels in [0, 1]", pixel_features)


def network_features(
    name: str,
    description: str,
    network: Callable[[Float[Array, "num height width channels"]], Float[Array, "num units"]],
    *,
    shape: tuple[int, int, int],
    image_range: tuple[float, float],
    sha256: str = "",
    log_probabilities: Callable[[Float[Array, "num height width channels"]], Float[Array, "num classes"]] | None = None,
) -> Features:
    """The features that a network gives images.

    Args:
        name: of the features.
        description: what they are; the treatment of images of another shape is added to it.
        network: images in `image_range` -> features.
        shape: height, width and channels of its images; others are made so by `fitted`.
        image_range: of its images.
        sha256: of its weights.
        log_probabilities: images in `image_range` -> those of the classes, where the network tells them.
    """

    def batched(function: Callable[[Array], Array]) -> Callable[[Images], np.ndarray]:
        compute = jax.jit(lambda images: function(scale(images, image_range)))

        def of(images: Images) -> np.ndarray:
            parts = []
            for at in range(0, len(images), IMAGES_PER_CALL):
                part = fitted(images[at : at + IMAGES_PER_CALL], shape)
                # Filled up, so that one compiled program serves all.
                filled = np.zeros((IMAGES_PER_CALL, *shape), np.uint8)
                filled[: len(part)] = part
                parts.append(np.asarray(compute(filled))[: len(part)])
            return np.concatenate(parts)

        return of

    height, width, channels = shape
    treatment = f"images of another shape made {height}x{width}x{channels} (bicubic, antialiased; ITU-R 601 luma)"
    told = None if log_probabilities is None else batched(log_probabilities)
    return Features(name, f"{description}; {treatment}", batched(network), sha256, told)


def fitted(images: Images, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "num {shape[0]} {shape[1]} {shape[2]}"]:
    """Images in another shape: resized by an antialiased bicubic filter, made grey (ITU-R 601 luma) or RGB."""
    height, width, channels = shape
    images = with_channels(images, channels)
    if images.shape[1:3] == (height, width):
        return images
    planes = images.transpose(0, 3, 1, 2).reshape(-1, *images.shape[1:3])
    resized = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BICUBIC)) for p in planes]
    return np.stack(resized).reshape(len(images), channels, height, width).transpose(0, 2, 3, 1)
