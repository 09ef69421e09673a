"""Studies of single neurons, and of the smallest network that needs a hidden layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.registry import Findings, Study, register
from gdl_jax.models.linear import (
    least_squares,
    mean_squared_error,
    with_ones,
)
from gdl_jax.models.perceptron import delta_rule, neuron
from gdl_jax.models.regression import Examples, Regressor, fit
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

XOR_INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_TARGETS = np.array([0, 1, 1, 0], np.float32)

FIVE_INPUTS = np.array([[1, 2, 3], [3, 4, 5], [5, 6, 7], [7, 8, 9], [9, 8, 7]], np.float32)
FIVE_TARGETS = np.array([1, 2, 3, 4, 5], np.float32)


@register(
    "perceptron",
    paper="Widrow, Hoff 1960; Minsky, Papert 1969; Lanham, Generating a New Reality, chapter 1",
    systems=("LA02", "LA03"),
)
@dataclass(frozen=True, kw_only=True)
class Perceptron(Study):
    """One neuron that learns example by example: it cannot learn XOR, and does learn a line.

        python -m experiments.run perceptron

    Shows XOR's truth table with the plane that the neuron ends with, its squared errors for several starts at once, and
    a neuron with a ReLU on five points in space. Prints the weights: on XOR those of a limit cycle, 5/9, -1/9, -1/18,
    whose errors are all 25/81 = 0.309, above the least mean, 1/4; a linear neuron can do no better than that.

    The text speaks of the perceptron's rule; it is the delta rule (LMS). It leaves out the ReLU's derivative, and has
    to: from zero weights the true gradient is zero. With the step of XOR, 0.1, a linear neuron diverges on the five
    points.
    """

    starts: int = 5
    """Random first weights on XOR, uniform in [0, 1)."""
    epochs: int = 100
    """Times that XOR's four examples are fed."""
    learning_rate: float = 0.1
    """On XOR."""
    relu_epochs: int = 50
    """Times that the five points are fed."""
    relu_learning_rate: float = 0.01
    """On the five points."""
    seed: int = 0
    """Of the first weights."""

    positive: ClassVar[tuple[str, ...]] = ("starts", "epochs", "learning_rate", "relu_epochs", "relu_learning_rate")

    def run(self) -> Findings:
        """See `Study`."""
        starts = jax.random.uniform(stream_key(self.seed, "perceptron"), (self.starts, 3))

        @jax.jit
        def learn_xor(starts: Float[Array, "starts 3"]):
            rule = {"learning_rate": self.learning_rate, "epochs": self.epochs}
            return jax.vmap(lambda weights: delta_rule(weights, XOR_INPUTS, XOR_TARGETS, **rule))(starts)

        @jax.jit
        def learn_five():
            rule = {"learning_rate": self.relu_learning_rate, "epochs": self.relu_epochs, "activation": nn.relu}
            return delta_rule(jnp.zeros(4), FIVE_INPUTS, FIVE_TARGETS, **rule)

        @jax.jit
        def diverge():
            return delta_rule(jnp.zeros(4), FIVE_INPUTS, FIVE_TARGETS, learning_rate=self.learning_rate, epochs=2)

        xor, five, wild = learn_xor(starts), learn_five(), diverge()
        weights, errors = np.asarray(xor.weights), np.asarray(xor.squared_errors)
        least = least_squares(with_ones(jnp.asarray(XOR_INPUTS)), jnp.asarray(XOR_TARGETS))
        predicted = [neuron(five.weights, jnp.asarray(point), nn.relu) for point in FIVE_INPUTS]
        numbers = {
            "xor/least_mean_squared_error": float(
                mean_squared_error(least, with_ones(jnp.asarray(XOR_INPUTS)), jnp.asarray(XOR_TARGETS))
            ),
            "xor/mean_squared_error": float(
                np.square(XOR_TARGETS - weights[:, :1] - weights[:, 1:] @ XOR_INPUTS.T).mean()
            ),
            "xor/last_squared_error": float(errors[:, -4:].mean()),
            **{f"xor/w{i}": float(weight) for i, weight in enumerate(weights[0])},
            "relu/last_squared_error": float(five.squared_errors[-1]),
            "relu/largest_error": float(np.abs(np.array(predicted) - FIVE_TARGETS).max()),
            "relu/prediction_of_3_3_3": float(neuron(five.weights, jnp.array([3.0, 3.0, 3.0]), nn.relu)),
            "linear/tenth_squared_error": float(wild.squared_errors[-1]),
        }
        text = (
            f"XOR: from {self.starts} starts the squared error of each update ends at "
            f"{numbers['xor/last_squared_error']:.3f}. No plane has a mean below "
            f"{numbers['xor/least_mean_squared_error']:.2f}: more epochs do not help.\n"
            "Five points: a linear solution exists, and the error falls, with a wobble, because each update serves "
            f"one example. With the step of XOR a linear neuron is off by {numbers['linear/tenth_squared_error']:.0e}, "
            "squared, after ten updates: inputs ten times as long need steps a hundred times as short."
        )
        figures = {
            "xor": _xor(weights[0], errors),
            "relu": _five(np.asarray(five.squared_errors), self.relu_learning_rate),
        }
        return Findings(numbers=numbers, figures=figures, text=text)


def _xor(weights: Float[np.ndarray, " 3"], errors: Float[np.ndarray, "starts updates"]):
    figure, axes = chart(1, 2, width=10, height=3.9, width_ratios=(1, 1.3))
    space = _space(figure, axes[0], "The plane after training, and XOR")
    corners = np.array([[0.0, 1.0], [0.0, 1.0]])
    height = weights[0] + weights[1] * corners + weights[2] * corners.T
    space.plot_surface(corners, corners.T, height, color=PALETTE[1], alpha=0.25)
    for target, place in zip(XOR_TARGETS, XOR_INPUTS, strict=True):
        space.scatter(*place, target, s=60, color=PALETTE[0] if target else INK, depthshade=False)
        space.plot([place[0]] * 2, [place[1]] * 2, [0, target], color=SOFT, linewidth=0.8)
    space.set(xlabel="x1", ylabel="x2", zlabel="y", xticks=(0, 1), yticks=(0, 1), zticks=(0, 1), zlim=(0, 1))
    updates = np.arange(errors.shape[1])
    for i, line in enumerate(errors):
        axes[1].plot(updates, line, color=PALETTE[0], alpha=0.5, linewidth=0.9, label="" if i else "squared error")
    axes[1].axhline(25 / 81, color=PALETTE[4], linestyle="--", linewidth=1.2, label="limit, 25/81")
    axes[1].axhline(0.25, color=INK, linestyle=":", linewidth=1.2, label="least mean, 1/4")
    axes[1].set(xlabel="update", ylabel="squared error", title=f"{len(errors)} starts on XOR", ylim=(0, 1.2))
    legend_outside(axes[1], 3)
    return figure


def _five(errors: Float[np.ndarray, " updates"], learning_rate: float):
    figure, axes = chart(1, 2, width=10, height=3.9, width_ratios=(1, 1.3))
    space = _space(figure, axes[0], "Five points and their targets")
    space.scatter(*FIVE_INPUTS.T, s=50, c=PALETTE[0], depthshade=False)
    for point, target in zip(FIVE_INPUTS, FIVE_TARGETS, strict=True):
        space.text(*(point + 0.4), f"{target:.0f}")
    space.set(xlabel="x1", ylabel="x2", zlabel="x3")
    axes[1].plot(errors, color=PALETTE[0])
    axes[1].set(xlabel="update", ylabel="squared error", title=f"A neuron with ReLU, step {learning_rate:g}")
    return figure


def _space(figure, axes, title: str):
    """Puts a plot of three axes in the place of a plot."""
    place = axes.get_subplotspec()
    axes.remove()
    space = figure.add_subplot(place, projection="3d")
    space.set_title(title)
    space.set_box_aspect(None, zoom=0.85)
    return space


@register("xor_mlp", paper="Lanham, Generating a New Reality, chapter 1", systems=("LA04",))
@dataclass(frozen=True, kw_only=True)
class XorMLP(Study):
    """A hidden layer of ten ReLUs solves XOR, from twenty starts at once.

        python -m experiments.run xor_mlp

    Shows the loss of every start and the function that one of them learns. Prints the loss in the end and the outputs
    for (1, 0) and (1, 1); the text's "exactly 1" is what one start happens to give.
    """

    seeds: int = 20
    """Networks, each from first parameters of its own."""
    hidden: int = 10
    """ReLUs in the hidden layer."""
    steps: int = 2000
    """Updates, each with all four examples."""
    learning_rate: float = 1e-3
    """Of Adam."""
    seed: int = 0
    """Of the first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("seeds", "hidden", "steps", "learning_rate")

    def run(self) -> Findings:
        """See `Study`."""
        network = Regressor((self.hidden,), (nn.relu,))
        examples = Examples(jnp.asarray(XOR_INPUTS), jnp.asarray(XOR_TARGETS))
        keys = jax.random.split(stream_key(self.seed, "xor"), self.seeds)
        train = jax.jit(jax.vmap(lambda key: fit(network, key, self.learning_rate, examples, examples, self.steps)))
        found = train(keys)
        losses = np.asarray(found.train)
        line = np.linspace(-0.5, 1.5, 81, dtype=np.float32)
        square = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)

        @jax.jit
        def outputs(params, inputs):
            return jax.vmap(lambda p: network.apply({"params": p}, inputs))(params)

        on_examples = np.asarray(outputs(found.params, XOR_INPUTS))
        solved = (np.abs(on_examples - XOR_TARGETS) < 0.1).all(axis=1)
        surface = np.asarray(outputs(found.params, square))[0].reshape(len(line), len(line))
        numbers = {
            "solved": float(solved.mean()),
            "loss/median": float(np.median(losses[:, -1])),
            "loss/worst": float(losses[:, -1].max()),
            "output_1_0": float(on_examples[0, 2]),
            "output_1_1": float(on_examples[0, 3]),
        }
        text = (
            f"{solved.sum()} of {self.seeds} networks give all four answers to within 0.1. The ramps of the hidden "
            "layer add up to a valley along one diagonal, or to a ridge along the other."
        )
        figure, axes = chart(1, 2, width=10, height=3.9)
        axes[0].plot(losses.T, color=PALETTE[0], alpha=0.45, linewidth=0.9)
        axes[0].set(xlabel="update", ylabel="mean squared error", yscale="log", title=f"{self.seeds} starts")
        extent = (line[0], line[-1], line[0], line[-1])
        filled = axes[1].imshow(surface, cmap="RdBu_r", extent=extent, origin="lower", vmin=-1, vmax=2)
        axes[1].grid(False)
        axes[1].contour(line, line, surface, levels=[0.5], colors=INK, linewidths=1.2)
        axes[1].scatter(
            *XOR_INPUTS.T, c=["white" if target else "black" for target in XOR_TARGETS], edgecolors=INK, s=70
        )
        axes[1].set(xlabel="x1", ylabel="x2", title="What the first learnt (white 1, black 0)")
        figure.colorbar(filled, ax=axes[1], label="output", ticks=[-1, 0, 0.5, 1, 2])
        return Findings(numbers=numbers, figures={"xor_mlp": figure}, text=text)
