"""Distances between images in the feature maps of a network."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.likelihood import sum_over_event
from gdl_jax.losses.shapes import check_same_shape

FeatureMaps = Sequence[Float[Array, "_batch _height _width _channels"]]
"""One array per layer."""


def feature_perceptual_loss(found: FeatureMaps, wanted: FeatureMaps) -> Float[Array, " batch"]:
    """Sum over the layers of |found - wanted|^2 / (2 C W H): Hou et al. 2017 (arXiv:1610.00291), section 3.2.

    Args:
        found: the maps of the reconstructions.
        wanted: those of the images, layer by layer.

    Raises:
        ValueError: the numbers of layers, or the shapes of a layer, differ.
    """
    if len(found) != len(wanted):
        raise ValueError(f"There are {len(found)} feature maps of the one and {len(wanted)} of the other.")
    errors = []
    for a, b in zip(found, wanted, strict=True):
        check_same_shape(found=a, wanted=b)
        errors.append(sum_over_event(jnp.square(a - b)) / (2 * a[0].size))
    return jnp.stack(errors).sum(axis=0)
