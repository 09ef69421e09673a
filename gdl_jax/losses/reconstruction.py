"""How far images are from those that they should be."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.shapes import check_same_shape

LEAST_MSE = 1e-10
"""A peak signal-to-noise ratio is 100 dB at the most, so that a perfect image does not make a mean infinite."""


def mean_absolute_error(images: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Float[Array, ""]:
    """The mean of |images - targets| over everything: L1 of Isola et al. 2017 (arXiv:1611.07004), eq. 3.

    There it is the sum over an image; the mean, which does not grow with the image, is what a weight of 100 goes with.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(images=images, targets=targets)
    return jnp.abs(images - targets).mean()


def psnr(
    images: Float[Array, "num height width channels"], targets: Float[Array, "num height width channels"]
) -> Float[Array, " num"]:
    """Peak signal-to-noise ratio in dB of images in [0, 1]: 10 log10(1 / mean squared error), at the most 100.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(images=images, targets=targets)
    mse = jnp.square(images - targets).mean(axis=(1, 2, 3))
    return -10 * jnp.log10(jnp.maximum(mse, LEAST_MSE))
