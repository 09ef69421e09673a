"""Adversarial examples by one step: Goodfellow, Shlens, Szegedy 2015 (arXiv:1412.6572)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from gdl_jax.losses.classification import softmax_cross_entropy


def fast_gradient_sign(
    classify: Callable[[Array], Float[Array, "n classes"]],
    images: Float[Array, "n height width channels"],
    labels: Int[Array, " n"],
    epsilon: float,
    image_range: tuple[float, float] | None = None,
) -> Float[Array, "n height width channels"]:
    """Images that a classifier mistakes: x + epsilon sign(d cross-entropy(classify(x), y) / dx), section 4.

    Args:
        classify: images to logits, each image for itself.
        images: that the classifier is to mistake.
        labels: their classes.
        epsilon: how far every pixel moves.
        image_range: what the pixels are then cut to; None for not at all.
    """
    slope = jax.grad(lambda x: softmax_cross_entropy(classify(x), labels).sum())(images)
    moved = images + epsilon * jnp.sign(slope)
    return moved if image_range is None else jnp.clip(moved, *image_range)
