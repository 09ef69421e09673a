"""What happens to a batch inside the compiled step: the same from every pipeline."""

from __future__ import annotations

import logging

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Num, UInt8

log = logging.getLogger(__name__)


def scale(images: UInt8[Array, ...], image_range: tuple[float, float]) -> Float[Array, ...]:
    """0..255 to the model's range, float32."""
    low, high = image_range
    return low + images.astype(jnp.float32) * ((high - low) / 255)


def to_uint8(images: Num[np.ndarray, ...], image_range: tuple[float, float]) -> UInt8[np.ndarray, ...]:
    """The model's range to 0..255, rounded and clipped; NaN becomes 0, with a warning."""
    low, high = image_range
    unit = (np.asarray(images, np.float32) - low) / (high - low)
    wrong = np.isnan(unit)
    if wrong.any():
        log.warning("%d of %d values of images are no numbers (NaN); they become 0.", wrong.sum(), wrong.size)
        unit = np.where(wrong, 0, unit)
    return np.clip(np.rint(unit * 255), 0, 255).astype(np.uint8)
