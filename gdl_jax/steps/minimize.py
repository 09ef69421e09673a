"""A whole minimisation as one compiled loop, for problems so small that a training loop around it would be the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, PyTree


class Minimum(NamedTuple):
    """What a minimisation came to, and how.

    Attributes:
        params: after the last step.
        losses: before each step.
        kept: what `keep` returned before each step, with the steps as first axis.
    """

    params: PyTree
    losses: Float[Array, " steps"]
    kept: PyTree


def minimize(
    loss: Callable[[PyTree, Int[Array, ""]], Float[Array, ""]],
    params: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    keep: Callable[[PyTree], PyTree] = lambda params: (),
) -> Minimum:
    """Descends a loss for a number of steps, in one `lax.scan`.

    Pure, so that `jax.vmap` over seeds or learning rates (which an optax rule takes as arrays) runs them at once.

    Args:
        loss: of (parameters, step); the step is for those that draw a batch.
        params: to start from.
        optimizer: the update rule.
        steps: how many.
        keep: what to note of the parameters before each step.
    """

    def step(carry: tuple, number: Array) -> tuple:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, number)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), (value, keep(params))

    start = (params, optimizer.init(params))
    (params, _), (losses, kept) = jax.lax.scan(step, start, jnp.arange(steps))
    return Minimum(params, losses, kept)
