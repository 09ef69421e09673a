"""What a step does to images at random before a network sees them: flips, crops, noise, a discriminator's views.

Views are functions (images, key, step) -> images, of real and generated ones alike. Gradients go through all of them to
the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, Num

from gdl_jax.steps.devices import split_batch

Images = Float[Array, "batch height width channels"]
Change = Literal["colour", "translation", "cutout"]


def random_flip(
    images: Num[Array, "*batch height width channels"], key: Key[Array, ""]
) -> Num[Array, "*batch height width channels"]:
    """Mirrors each image left to right with probability 1/2: arrays of one batch shape alike with one key."""
    flips = jax.random.bernoulli(key, shape=(*images.shape[:-3], 1, 1, 1))
    return jnp.where(flips, images[..., ::-1, :], images)


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


@dataclass(frozen=True)
class Corruption:
    """Noise on images in [0, 1].

    Attributes:
        kind: "masking": each pixel is 0 with probability `amount` (Vincent et al. 2008, section 2.3, where the number
            of such pixels is fixed); "salt_and_pepper": with that probability it is 0 or 1, either as likely;
            "gaussian": N(0, amount^2) is added to every value, and the sum cut to [0, 1].
        amount: a probability, or a standard deviation.
    """

    kind: Literal["masking", "salt_and_pepper", "gaussian"] = "masking"
    amount: float = 0.25

    def __call__(self, images: Images, key: Key[Array, ""]) -> Images:
        """The corrupted images."""
        k_where, k_what = jax.random.split(key)
        if self.kind == "gaussian":
            return jnp.clip(images + self.amount * split_batch(jax.random.normal(k_where, images.shape)), 0.0, 1.0)
        pixels = (*images.shape[:3], 1)
        hit = split_batch(jax.random.bernoulli(k_where, self.amount, pixels))
        if self.kind == "masking":
            return jnp.where(hit, 0.0, images)
        return jnp.where(hit, split_batch(jax.random.bernoulli(k_what, shape=pixels)).astype(images.dtype), images)


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
