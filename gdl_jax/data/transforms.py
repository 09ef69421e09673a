"""What happens to a batch inside the compiled step: the same from every pipeline."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key, Num, UInt8


def scale(images: UInt8[Array, ...], image_range: tuple[float, float]) -> Float[Array, ...]:
    """0..255 to the model's range, float32."""
    low, high = image_range
    return low + images.astype(jnp.float32) * ((high - low) / 255)


def to_uint8(images: Num[np.ndarray, ...], image_range: tuple[float, float]) -> UInt8[np.ndarray, ...]:
    """The model's range to 0..255, rounded and clipped."""
    low, high = image_range
    unit = (np.asarray(images, np.float32) - low) / (high - low)
    return np.clip(np.rint(unit * 255), 0, 255).astype(np.uint8)


def random_flip(
    images: Num[Array, "batch height width channels"], key: Key[Array, ""]
) -> Num[Array, "batch height width channels"]:
    """Mirrors each image left to right with probability 1/2."""
    flips = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flips, images[:, :, ::-1], images)


def random_crop(
    images: Num[Array, "batch height width channels"], key: Key[Array, ""], padding: int
) -> Num[Array, "batch height width channels"]:
    """Cuts each image anew out of itself framed by `padding` zeros: a shift by up to so many pixels, both ways.

    He et al. 2016 (arXiv:1512.03385), section 4.2, with a padding of 4. Where the range is [-1, 1] the frame is grey.
    """
    if padding == 0:
        return images
    framed = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    corners = jax.random.randint(key, (len(images), 2), 0, 2 * padding + 1)
    return jax.vmap(lambda image, corner: jax.lax.dynamic_slice(image, (*corner, 0), images.shape[1:]))(framed, corners)
