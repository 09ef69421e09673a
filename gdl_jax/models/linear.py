"""Linear and logistic regression: Valle, chapter 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.likelihood import bernoulli_nll
from gdl_jax.losses.shapes import check_same_shape


def with_ones(inputs: Float[Array, "n inputs"]) -> Float[Array, "n inputs_and_one"]:
    """A last column of ones, whose weight is the bias."""
    return jnp.concatenate([inputs, jnp.ones_like(inputs[:, :1])], axis=1)


def least_squares(design: Float[Array, "n weights"], targets: Float[Array, " n"]) -> Float[Array, " weights"]:
    """The solution of the normal equations X'X w = X'y: the weights of least squared error.

    X'X has to be invertible (X need not even be square), which holds when the columns of X are independent.
    """
    return jnp.linalg.solve(design.T @ design, design.T @ targets)


def mean_squared_error(
    weights: Float[Array, " weights"], design: Float[Array, "n weights"], targets: Float[Array, " n"]
) -> Float[Array, ""]:
    """Mean of (y - X w)^2, with the gradient -(2 / n) X' (y - X w).

    Raises:
        ValueError: not one target per row.
    """
    prediction = design @ weights
    check_same_shape(prediction=prediction, targets=targets)
    return jnp.square(targets - prediction).mean()


def logistic_loss(
    weights: Float[Array, " weights"], design: Float[Array, "n weights"], labels: Float[Array, " n"]
) -> Float[Array, ""]:
    """Mean of -log p(y|x) with p(1|x) = sigmoid(w.x), in nats.

    Raises:
        ValueError: not one label per row.
    """
    return bernoulli_nll((design @ weights)[:, None], labels[:, None]).mean()


def logistic_newton(
    design: Float[Array, "n weights"], labels: Float[Array, " n"], *, penalty: float = 0.0, steps: int = 20
) -> Float[Array, " weights"]:
    """The weights of least `logistic_loss`, by Newton's method from 0 (iteratively reweighted least squares).

    Args:
        design: with a column of ones for a bias.
        labels: 0 or 1.
        penalty: adds penalty |w|^2 / 2 to the loss; without it classes that a line parts have no finite solution.
        steps: of Newton's method.
    """
    num, size = design.shape

    def step(weights: Array, _: None) -> tuple[Array, None]:
        chance = jax.nn.sigmoid(design @ weights)
        gradient = design.T @ (chance - labels) / num + penalty * weights
        curvature = (design.T * (chance * (1 - chance))[None]) @ design / num + penalty * jnp.eye(size)
        return weights - jnp.linalg.solve(curvature, gradient), None

    return jax.lax.scan(step, jnp.zeros(size), None, length=steps)[0]
