"""Cross-entropy of classes, per example, in nats."""

from __future__ import annotations

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
