"""How far images are from those that they should be."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.shapes import check_same_shape


def mean_absolute_error(images: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Float[Array, ""]:
    """The mean of |images - targets| over everything: L1 of Isola et al. 2017 (arXiv:1611.07004), eq. 3.

    There it is the sum over an image; the mean, which does not grow with the image, is what a weight of 100 goes with.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(images=images, targets=targets)
    return jnp.abs(images - targets).mean()
