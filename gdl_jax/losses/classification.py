"""Cross-entropy of classes, per example, in nats, and the images that its slope leads to."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from gdl_jax.losses.shapes import check_same_shape


def softmax_cross_entropy(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"], *, label_smoothing: float = 0.0
) -> Float[Array, " batch"]:
    """-sum_k q_k log p_k with p = softmax(logits) and q = (1 - s) [k = label] + s / classes.

    With s = 0 it is -log p of the label. Smoothing: Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Args:
        logits: unbounded. Not probabilities: the softmax of numbers in [0, 1] cannot come near a class.
        labels: from 0 to classes - 1.
        label_smoothing: s, from 0 to below 1.

    Raises:
        ValueError: not one label per row of logits.
    """
    check_same_shape(logits_of_a_class=logits[:, 0], labels=labels)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[1], dtype=jnp.float32), label_smoothing)
    return -(targets * jax.nn.log_softmax(logits.astype(jnp.float32))).sum(axis=1)


def fast_gradient_sign(
    classify: Callable[[Array], Float[Array, "n classes"]],
    images: Float[Array, "n height width channels"],
    labels: Int[Array, " n"],
    epsilon: float,
    image_range: tuple[float, float] | None = None,
) -> Float[Array, "n height width channels"]:
    """Images that a classifier mistakes: x + epsilon sign(d cross-entropy(classify(x), y) / dx).

    Goodfellow, Shlens, Szegedy 2015 (arXiv:1412.6572), section 4.

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
