"""Studies of linear models: regression, a logistic neuron, and densities of classes against boundaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from gdl_jax.models.density import GaussianClasses
from gdl_jax.models.linear import (
    least_squares,
    logistic_loss,
    logistic_newton,
    mean_squared_error,
    with_ones,
)
from gdl_jax.pictures.charts import INK, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.minimize import minimize
from gdl_jax.steps.random import stream_key


@register(
    "linear_regression",
    paper="Legendre 1805; Valle, Hands-On GANs with Keras, chapter 1",
    systems=("S02",),
)
@dataclass(frozen=True, kw_only=True)
class LinearRegression(Study):
    """Linear regression in closed form and by gradient descent, and a logistic neuron by descent and Newton's method.

        python -m experiments.run linear_regression

    Shows the loss by step for several step sizes at once, one of them beyond the largest that converges, n over the
    largest eigenvalue of X'X, and the boundary of a logistic neuron. Prints how far descent ends from the closed form.

    The text asks that X be invertible; it is X'X that has to be.
    """

    num_points: int = 200
    """Examples."""
    noise: float = 0.5
    """Standard deviation of what is added to the targets."""
    steps: int = 200
    """Of gradient descent."""
    logistic_steps: int = 2000
    """Of gradient descent for the logistic neuron."""
    seed: int = 0
    """Of the data."""

    positive: ClassVar[tuple[str, ...]] = ("num_points", "noise", "steps", "logistic_steps")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"num_points": (20, 1_000_000)}

    def run(self) -> Findings:
        """See `Study`."""
        k_inputs, k_noise, k_classes = jax.random.split(stream_key(self.seed, "regression"), 3)
        truth = np.array([2.0, -1.0, 0.5, 1.0], np.float32)
        fractions = np.array([0.03, 0.3, 0.9, 1.02], np.float32)

        @jax.jit
        def regress():
            design = with_ones(jax.random.normal(k_inputs, (self.num_points, 3)) * jnp.array([[1.0, 0.7, 0.4]]))
            targets = design @ truth + self.noise * jax.random.normal(k_noise, (self.num_points,))
            exact = least_squares(design, targets)
            largest = self.num_points / jnp.linalg.eigvalsh(design.T @ design).max()

            def loss(weights, _):
                return mean_squared_error(weights, design, targets)

            descents = jax.vmap(lambda rate: minimize(loss, jnp.zeros(4), optax.sgd(rate), self.steps))
            return exact, loss(exact, 0), largest, descents(largest * fractions)

        exact, least, largest, found = jax.device_get(regress())
        logistic, figure, words = self._logistic(k_classes)
        numbers = {
            "closed_form/mean_squared_error": float(least),
            "closed_form/largest_error_of_a_weight": float(np.abs(exact - truth).max()),
            "descent/largest_stable_step": float(largest),
            "descent/difference_from_closed_form": float(np.abs(found.params[2] - exact).max()),
            "descent/loss_beyond_the_largest_step": float(found.losses[-1, -1]),
            **logistic,
        }
        text = (
            f"Steps below {largest:.3f} lead to the weights of the closed form (difference "
            f"{numbers['descent/difference_from_closed_form']:.1e} after {self.steps} steps of 0.9 of it); two percent "
            f"more and the loss grows without end.\n{words}"
        )
        figures = {"loss": _descents(found.losses, fractions, least), "logistic_neuron": figure}
        return Findings(numbers=numbers, figures=figures, text=text)

    def _logistic(self, key):
        @jax.jit
        def classify():
            points, labels = _two_classes(key, self.num_points // 2)
            design, wanted = with_ones(points), labels.astype(jnp.float32)
            exact = logistic_newton(design, wanted)

            def loss(weights, _):
                return logistic_loss(weights, design, wanted)

            accuracy = ((design @ exact > 0) == (labels == 1)).mean()
            return points, labels, exact, accuracy, loss(exact, 0), minimize(loss, jnp.zeros(3), optax.sgd(0.5), steps)

        steps = self.logistic_steps
        points, labels, exact, accuracy, least, found = jax.device_get(classify())
        numbers = {
            "logistic/loss": float(least),
            "logistic/accuracy": float(accuracy),
            "logistic/difference_from_newton": float(np.abs(found.params - exact).max()),
        }
        figure, axes = chart(1, 2, width=10, height=3.9)
        axes[0].plot(np.arange(1, steps + 1), found.losses, color=PALETTE[0], label="gradient descent")
        axes[0].axhline(least, color=INK, linestyle=":", label="Newton's method")
        axes[0].set(xlabel="step", ylabel="loss in nats", xscale="log", title="A logistic neuron")
        axes[0].legend()
        _scatter_classes(axes[1], points, labels)
        low, high = points.min(axis=0) - 0.5, points.max(axis=0) + 0.5
        x, y = np.meshgrid(np.linspace(low[0], high[0], 100), np.linspace(low[1], high[1], 100))
        chance = 1 / (1 + np.exp(-(exact[0] * x + exact[1] * y + exact[2])))
        extent = (low[0], high[0], low[1], high[1])
        filled = axes[1].imshow(
            chance, cmap="RdBu_r", alpha=0.55, extent=extent, origin="lower", aspect="auto", vmin=0, vmax=1
        )
        axes[1].grid(False)
        axes[1].contour(x, y, chance, levels=[0.5], colors=INK, linewidths=1.4)
        axes[1].set(xlabel="x1", ylabel="x2", title="sigmoid(w.x + b), and where it is 1/2")
        figure.colorbar(filled, ax=axes[1], label="p(1 | x)", ticks=[0, 0.5, 1])
        words = f"The logistic neuron's line parts the classes with {accuracy:.0%} accuracy; descent and Newton agree."
        return numbers, figure, words


def _descents(losses: Float[np.ndarray, "rates steps"], fractions: Float[np.ndarray, " rates"], least: float):
    figure, (axes,) = chart(width=7, height=3.8)
    for i, (line, fraction) in enumerate(zip(losses, fractions, strict=True)):
        axes.plot(line, color=PALETTE[i], label=f"{fraction:g} of the largest stable step")
    axes.axhline(least, color=INK, linestyle=":", label="closed form")
    axes.set(xlabel="step", ylabel="mean squared error", yscale="log", title="Gradient descent of linear regression")
    axes.set_ylim(0.8 * least, 100 * least)
    legend_outside(axes, 2)
    return figure


MEANS = np.array([[-1.0, -0.5], [1.2, 0.8]], np.float32)
FACTORS = np.array([[[1.0, 0.0], [0.5, 0.7]], [[0.8, 0.0], [-0.5, 0.6]]], np.float32)
"""Of two classes in the plane: means, and Cholesky factors of the covariances."""


def _two_classes(key, num: int):
    """`num` points of each of two Gaussian classes, first those of class 0."""
    labels = np.repeat([0, 1], num)
    truth = GaussianClasses(jnp.log(jnp.full(2, 0.5)), jnp.asarray(MEANS), jnp.asarray(FACTORS @ FACTORS.mT))
    return truth.sample(key, labels), jnp.asarray(labels)


def _scatter_classes(axes, points, labels, **options) -> None:
    for label in (0, 1):
        chosen = points[labels == label]
        settings = {"s": 18, "color": PALETTE[4 * label], "edgecolors": "white", "linewidths": 0.5, **options}
        axes.scatter(*chosen.T, label=f"class {label}", **settings)


@register(
    "discriminative_generative",
    paper="Ng, Jordan 2001; Valle, Hands-On GANs with Keras, chapter 2",
    systems=("S04",),
)
@dataclass(frozen=True, kw_only=True)
class DiscriminativeGenerative(Study):
    """Logistic regression, p(y|x), against a Gaussian for each class, p(x, y), which can also draw.

        python -m experiments.run discriminative_generative

    Shows both on thirteen points in the plane, what the Gaussians draw, the same in one dimension (classes N(40, 8^2)
    and N(60, 8^2)), and the accuracy by the number of examples, of many data sets at once. Prints accuracies on fresh
    points, and of the one-dimensional classes the best that there can be, Phi(10 / 8) = 0.894.

    The text says that generative models learn p(x, y) besides a map; without labels they learn p(x) alone.
    """

    repeats: int = 200
    """Data sets of each size."""
    num_test: int = 4000
    """Fresh points by which both are judged."""
    penalty: float = 1e-3
    """Of logistic regression's squared weights; classes that a line parts would have no best weights otherwise."""
    seed: int = 0
    """Of all data."""

    positive: ClassVar[tuple[str, ...]] = ("repeats", "num_test", "penalty")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"num_test": (2, 1_000_000)}

    def run(self) -> Findings:
        """See `Study`."""
        k_few, k_line, k_test, k_many, k_draw = jax.random.split(stream_key(self.seed, "classes"), 5)
        sizes = np.array([3, 5, 10, 30, 100])
        both = np.repeat([0, 1], 100)

        def learn(points, labels):
            """From the points whose label is not -1."""
            used = (labels >= 0).astype(jnp.float32)
            design, wanted = with_ones(points) * used[:, None], (labels == 1).astype(jnp.float32)
            weights = logistic_newton(design, wanted, penalty=self.penalty * used.mean())
            return weights, GaussianClasses.fit(points, labels, 2)

        @jax.jit
        def work():
            test, test_labels = _two_classes(k_test, self.num_test // 2)

            def judge(points, labels):
                weights, classes = learn(points, labels)
                rules = (with_ones(test) @ weights > 0, classes.log_joint(test).argmax(axis=1) == 1)
                return jnp.stack([(rule == (test_labels == 1)).mean() for rule in rules])

            points = jax.vmap(lambda k: _two_classes(k, 100)[0])(jax.random.split(k_many, self.repeats))
            kept = jnp.where(np.tile(np.arange(100), 2) < sizes[:, None], both, -1)
            accuracies = jax.vmap(lambda labels: jax.vmap(lambda p: judge(p, labels))(points))(kept)
            few, few_labels = (half[:13] for half in _two_classes(k_few, 7))
            weights, classes = learn(few, few_labels)
            return accuracies, few, few_labels, weights, classes, classes.sample(k_draw, both)

        accuracies, few, few_labels, weights, classes, drawn = jax.device_get(work())
        means = accuracies.mean(axis=1)
        line, numbers = self._line(k_line)
        for name, row in zip(("discriminative", "generative"), means.T, strict=True):
            numbers |= {f"{name}/accuracy_from_{2 * num}": float(a) for num, a in zip(sizes, row, strict=True)}
        text = (
            "Both part the classes; the Gaussians can draw new points besides, and say how likely a point is. From "
            f"{2 * sizes[0]} examples logistic regression gets {means[0, 0]:.1%} right and the Gaussians, which have "
            f"more to estimate, {means[0, 1]:.1%}; from {2 * sizes[-1]} they get {means[-1, 0]:.1%} and "
            f"{means[-1, 1]:.1%}, because the best boundary is curved."
        )
        figures = {
            "plane": _plane(few, few_labels, weights, classes, drawn),
            "line": line,
            "accuracy": _accuracy(2 * sizes, accuracies),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _line(self, key):
        """One dimension: a threshold against two densities."""
        labels = np.repeat([0, 1], 200)
        x = np.linspace(10, 90, 400, dtype=np.float32)

        @jax.jit
        def work():
            points = (40 + 20.0 * labels + 8 * jax.random.normal(key, (400,)))[:, None]
            slope, bias = logistic_newton(with_ones((points - 50) / 10), jnp.asarray(labels, jnp.float32))
            classes = GaussianClasses.fit(points, labels, 2)
            densities = jnp.exp(classes.log_joint(x[:, None]) - classes.log_priors[None])
            return points[:, 0], 50 - 10 * bias / slope, classes, classes.log_joint(points).argmax(axis=1), densities

        points, threshold, classes, chosen, densities = jax.device_get(work())
        numbers = {
            "line/threshold": float(threshold),
            "line/accuracy_discriminative": float(((points > threshold) == (labels == 1)).mean()),
            "line/accuracy_generative": float((chosen == labels).mean()),
            "line/best_accuracy": 0.5 * (1 + math.erf(10 / 8 / math.sqrt(2))),
            **{f"line/mean_{i}": float(classes.means[i, 0]) for i in (0, 1)},
            **{f"line/deviation_{i}": float(np.sqrt(classes.covariances[i, 0, 0])) for i in (0, 1)},
        }
        figure, axes = chart(1, 2, width=10, height=3.3)
        for plot in axes:
            for label in (0, 1):
                style = {"density": True, "color": PALETTE[4 * label], "alpha": 0.3, "label": f"class {label}"}
                plot.hist(points[labels == label], np.linspace(10, 90, 33), **style)
            plot.set(xlabel="x", ylabel="density", xlim=(10, 90))
        axes[0].axvline(threshold, color=INK)
        axes[0].set_title(f"Discriminative: a threshold at {threshold:.1f}")
        for label in (0, 1):
            axes[1].plot(x, densities[:, label], color=PALETTE[4 * label])
        axes[1].set_title("Generative: a density for each class")
        legend_outside(axes[0], 2)
        return figure, numbers


def _plane(points, labels, weights, classes: GaussianClasses, drawn):
    low, high = points.min(axis=0) - 1.5, points.max(axis=0) + 1.5
    x, y = np.meshgrid(np.linspace(low[0], high[0], 150), np.linspace(low[1], high[1], 150))
    mesh = jnp.asarray(np.stack([x.ravel(), y.ravel()], axis=1), jnp.float32)
    densities = np.exp(np.asarray(classes.log_joint(mesh))).reshape(*x.shape, 2)
    figure, axes = chart(1, 3, width=11, height=3.9)
    axes[0].contour(x, y, weights[0] * x + weights[1] * y + weights[2], levels=[0], colors=INK, linewidths=1.4)
    for plot in axes[1:]:
        for label in (0, 1):
            peak = densities[..., label].max()
            levels = peak * np.array([0.05, 0.2, 0.5, 0.8])
            plot.contour(x, y, densities[..., label], levels=levels, colors=PALETTE[4 * label], linewidths=0.9)
    axes[1].contour(x, y, densities[..., 1] - densities[..., 0], levels=[0], colors=INK, linewidths=1.4)
    for plot, title in zip(
        axes, ("p(y | x): a boundary", "p(x, y): two densities", "200 draws of p(x | y)"), strict=True
    ):
        plot.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="x1", ylabel="x2", title=title)
    for plot in axes[:2]:
        _scatter_classes(plot, points, labels, s=30)
    _scatter_classes(axes[2], drawn, np.repeat([0, 1], 100), s=9)
    legend_outside(axes[0], 2)
    return figure


def _accuracy(sizes, accuracies: Float[np.ndarray, "sizes repeats rules"]):
    figure, (axes,) = chart(width=6.4, height=3.6)
    for i, name in enumerate(("logistic regression", "a Gaussian for each class")):
        low, middle, high = 100 * np.percentile(accuracies[..., i], [10, 50, 90], axis=1)
        axes.fill_between(sizes, low, high, color=PALETTE[i], alpha=0.18, linewidth=0)
        axes.plot(sizes, middle, color=PALETTE[i], marker="o", markersize=4, label=name)
    title = f"Median of {accuracies.shape[1]} data sets, and from the 10th to the 90th percentile"
    axes.set(xlabel="examples", ylabel="accuracy in percent", xscale="log", title=title)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    legend_outside(axes, 2)
    return figure
