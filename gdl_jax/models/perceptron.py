"""A single neuron that learns one example at a time: Lanham, chapter 1, exercises 1-1 and 1-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Trained(NamedTuple):
    """A neuron after its training.

    Attributes:
        weights: bias first.
        squared_errors: of each example when its turn came, before the update.
    """

    weights: Float[Array, " inputs_and_one"]
    squared_errors: Float[Array, " updates"]


def neuron(
    weights: Float[Array, " inputs_and_one"],
    inputs: Float[Array, " inputs"],
    activation: Callable[[Array], Array] = lambda x: x,
) -> Float[Array, ""]:
    """activation(w_0 + w.x)."""
    return activation(weights[0] + inputs @ weights[1:])


def delta_rule(
    weights: Float[Array, " inputs_and_one"],
    inputs: Float[Array, "n inputs"],
    targets: Float[Array, " n"],
    *,
    learning_rate: float | Float[Array, ""],
    epochs: int,
    activation: Callable[[Array], Array] = lambda x: x,
) -> Trained:
    """The rule of Widrow and Hoff 1960 (LMS), w += rate e (1, x) with e = y - prediction, examples in a fixed order.

    The text calls it perceptron learning; Rosenblatt's rule is another, with a threshold. The activation's derivative
    is left out, as in the text: from zero weights the gradient through a ReLU is 0 and would stay so.

    Args:
        weights: to start from, bias first.
        inputs: fed one by one, in this order.
        targets: one per input.
        learning_rate: rate.
        epochs: how often all are fed.
        activation: of the neuron.
    """

    def update(weights: Array, example: tuple[Array, Array]) -> tuple[Array, Array]:
        x, y = example
        error = y - neuron(weights, x, activation)
        return weights + learning_rate * error * jnp.concatenate([jnp.ones(1), x]), jnp.square(error)

    def epoch(weights: Array, _: None) -> tuple[Array, Array]:
        return jax.lax.scan(update, weights, (inputs, targets))

    weights, errors = jax.lax.scan(epoch, weights, None, length=epochs)
    return Trained(weights, errors.ravel())
