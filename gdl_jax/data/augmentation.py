"""What a discriminator gets to see of images, real and generated alike: functions (images, key, step) -> images.

Gradients go through all of them to the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gdl_jax.data.transforms import random_crop

Images = Float[Array, "batch height width channels"]
Change = Literal["colour", "translation", "cutout"]


def instance_noise(deviation: optax.Schedule) -> Callable[[Images, Array, Array], Images]:
    """Adds N(0, s^2) to every value: Sonderby et al. 2017 (arXiv:1610.04490), section 3.2.

    Distributions that nowhere overlap do so with noise, and the generator has a slope to descend.

    Args:
        deviation: s by step, falling to 0; 0.1 is a good start for images in [-1, 1].
    """

    def view(images: Images, key: Key[Array, ""], step: Int[Array, ""]) -> Images:
        return images + deviation(step) * jax.random.normal(key, images.shape)

    return view


def diff_augment(changes: tuple[Change, ...]) -> Callable[[Images, Array, Array], Images]:
    """Random changes of every image: Zhao et al. 2020 (arXiv:2006.10738), section 3.2, for images around 0.

    "colour": brightness + U(-1/2, 1/2), then saturation times U(0, 2), then contrast times U(1/2, 3/2);
    "translation": by up to an eighth of the side, both ways, zeros from outside; "cutout": a square of half the side
    around a random pixel becomes 0.

    Args:
        changes: which of them, in this order.
    """

    def view(images: Images, key: Key[Array, ""], step: Int[Array, ""]) -> Images:
        for i, change in enumerate(changes):
            images = _CHANGES[change](images, jax.random.fold_in(key, i))
        return images

    return view


def _colour(images: Images, key: Array) -> Images:
    shape = (3, len(images), 1, 1, 1)
    brightness, saturation, contrast = jax.random.uniform(key, shape)
    images = images + brightness - 0.5
    grey = images.mean(axis=3, keepdims=True)
    images = grey + 2 * saturation * (images - grey)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (0.5 + contrast) * (images - mean)


def _translation(images: Images, key: Array) -> Images:
    return random_crop(images, key, max(1, round(images.shape[1] / 8)))


def _cutout(images: Images, key: Array) -> Images:
    masks = []
    for axis, k in zip((1, 2), jax.random.split(key), strict=True):
        side = images.shape[axis]
        half = side // 2
        first = jax.random.randint(k, (len(images), 1), 0, side + 1 - half % 2) - half // 2
        places = jnp.arange(side)[None]
        masks.append((places >= first) & (places < first + half))
    rows, columns = masks
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, images)


_CHANGES = {"colour": _colour, "translation": _translation, "cutout": _cutout}
