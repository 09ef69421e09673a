"""Small multilayer perceptrons that approximate a function, trained on all examples at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from gdl_jax.losses.shapes import check_same_shape
from gdl_jax.steps.minimize import minimize


class Regressor(nn.Module):
    """Hidden dense layers, each with an activation of its own, then one linear output.

    Kernels and biases start uniform in +-1 / sqrt(fan_in), PyTorch's default. (Biases that are not 0 matter here: they
    spread the kinks of ReLUs over the line.) All are cut from one draw: with a draw for each, compiling them would take
    longer than all else that is done with so small a network.

    Attributes:
        features: units of the hidden layers.
        activations: one per hidden layer.
        used: of each hidden layer only so many units act, as if it had no more. It may be traced, so that `jax.vmap`
            trains networks of several widths at once. None for all.
    """

    features: Sequence[int]
    activations: Sequence[Callable[[Array], Array]]
    used: int | Int[Array, ""] | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "n inputs"]) -> Float[Array, " n"]:
        """The output for each row."""
        widths = [x.shape[1], *self.features, 1]
        num = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
        # Linen calls for the shapes of parameters that are there, too.
        first = self.is_initializing()
        draw = jax.random.uniform(self.make_rng("params"), (num,), minval=-1) if first else jnp.zeros(num)

        def cut(_: Key[Array, ""], start: int, shape: tuple[int, ...], fan_in: int | Array) -> Array:
            return draw[start : start + math.prod(shape)].reshape(shape) / jnp.sqrt(jnp.float32(fan_in))

        start = 0
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            fan_in = inputs if i == 0 or self.used is None else self.used
            kernel = self.param(f"kernel_{i}", cut, start, (inputs, outputs), fan_in)
            bias = self.param(f"bias_{i}", cut, start + inputs * outputs, (outputs,), fan_in)
            start += (inputs + 1) * outputs
            x = x @ kernel + bias[None]
            if i < len(self.activations):
                x = self.activations[i](x)
                if self.used is not None:
                    x = jnp.where(jnp.arange(outputs)[None] < self.used, x, 0.0)
        return x[:, 0]


class Examples(NamedTuple):
    """What a function is to be learnt from."""

    inputs: Float[Array, "n inputs"]
    targets: Float[Array, " n"]


class Fitted(NamedTuple):
    """A trained network.

    Attributes:
        params: after the last step.
        train: mean squared error on the training examples before each step, and after the last.
        test: the same on the test examples.
        outputs: for the queries, before each step and after the last.
    """

    params: PyTree
    train: Float[Array, " steps_and_one"]
    test: Float[Array, " steps_and_one"]
    outputs: Float[Array, "steps_and_one queries"]


def squared_error(network: nn.Module, params: PyTree, examples: Examples) -> Float[Array, ""]:
    """Mean squared error.

    Raises:
        ValueError: not one output per target.
    """
    prediction = network.apply({"params": params}, examples.inputs)
    check_same_shape(prediction=prediction, targets=examples.targets)
    return jnp.square(prediction - examples.targets).mean()


def fit(
    network: nn.Module,
    key: Key[Array, ""],
    learning_rate: float | Float[Array, ""],
    train: Examples,
    test: Examples,
    steps: int,
    queries: Float[Array, "queries inputs"] | None = None,
) -> Fitted:
    """Descends the mean squared error by Adam, all training examples in every step.

    Args:
        network: inputs to outputs, one per row.
        key: of the first parameters.
        learning_rate: of Adam.
        train: what it learns from.
        test: what it is judged by.
        steps: how many.
        queries: inputs for which its outputs are kept at every step.
    """
    queries = train.inputs[:0] if queries is None else queries

    def look(params: PyTree) -> tuple[Array, Array]:
        return squared_error(network, params, test), network.apply({"params": params}, queries)

    params = network.init(key, train.inputs)["params"]
    found = minimize(lambda p, _: squared_error(network, p, train), params, optax.adam(learning_rate), steps, look)
    last = (squared_error(network, found.params, train), *look(found.params))
    curves = [
        jnp.concatenate([before, after[None]]) for before, after in zip((found.losses, *found.kept), last, strict=True)
    ]
    return Fitted(found.params, *curves)
