"""Studies of small networks that approximate a function: how long, how fast and how wide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from gdl_jax.models.regression import Examples, Fitted, Regressor, fit
from gdl_jax.pictures.charts import INK, band, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

LANHAM = "Lanham, Generating a New Reality, chapter"


def deep(width: int) -> Regressor:
    """The text's network: two hidden layers of ReLUs and one of sigmoids."""
    return Regressor((width, width, width), (nn.relu, nn.relu, nn.sigmoid))


def shallow(width: int) -> Regressor:
    """Its smaller one: a hidden layer of ReLUs and one of sigmoids."""
    return Regressor((width, width), (nn.relu, nn.sigmoid))


def split(examples: Examples, share: float = 0.2) -> tuple[Examples, Examples]:
    """Training and test examples, the test's share at random (seed 0 of scikit-learn's `train_test_split`)."""
    from sklearn.model_selection import train_test_split

    parts = train_test_split(*examples, test_size=share, random_state=0)
    return Examples(parts[0], parts[2]), Examples(parts[1], parts[3])


def column(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 1"]:
    """One input per row."""
    return np.asarray(x, np.float32)[:, None]


def on_line(function: Callable, x: Float[np.ndarray, " n"]) -> Examples:
    """A function of one number at these places."""
    return Examples(column(x), np.asarray(function(x), np.float32))


def parabola(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """x^2 + 5."""
    return x**2 + 5


def fit_rates(
    network: Regressor, key, seeds: int, rates: list[float], train: Examples, test: Examples, steps: int, queries=None
) -> Fitted:
    """Every learning rate from the same first parameters of every seed, at once: leaves (rates, seeds, ...)."""

    def one(rate, key):
        return fit(network, key, rate, train, test, steps, queries)

    of_seeds = jax.vmap(one, in_axes=(None, 0))
    run = jax.jit(jax.vmap(of_seeds, in_axes=(0, None)))
    return jax.device_get(run(jnp.asarray(rates), jax.random.split(key, seeds)))


def fit_widths(
    network: Callable[[int], Regressor],
    key,
    seeds: int,
    widths: list[int],
    rate: float,
    train: Examples,
    test: Examples,
    steps: int,
    queries=None,
) -> Fitted:
    """A network of every width from every seed, at once: leaves (widths, seeds, ...).

    The narrow ones are wide ones of which a part is used: compiling one program for all takes less time than running
    them as if they were wide.
    """

    def one(width, key):
        return fit(network(max(widths)).clone(used=width), key, rate, train, test, steps, queries)

    of_seeds = jax.vmap(one, in_axes=(None, 0))
    run = jax.jit(jax.vmap(of_seeds, in_axes=(0, None)))
    return jax.device_get(run(jnp.asarray(widths), jax.random.split(key, seeds)))


def medians(name: str, fitted: Fitted, index: int = 0) -> dict[str, float]:
    """Of the seeds, the median errors in the end."""
    return {
        f"{name}/train": float(np.median(fitted.train[index, :, -1])),
        f"{name}/test": float(np.median(fitted.test[index, :, -1])),
    }


@register("function_approximation", paper=f"{LANHAM} 3", systems=("LA12",))
@dataclass(frozen=True, kw_only=True)
class FunctionApproximation(Study):
    """A network learns x^2 + 5 from eight points: too few steps leave a plateau, and beyond the points it is lost.

        python -m experiments.run function_approximation

    Shows what the network gives for x from -2 to 15 after a quarter of the steps and after all, for several seeds at
    once. Prints the errors at both times and the output at x = 10 (it should be 105) and at 15 (230).

    The text blames the plateau above x = 7 on a learning rate that is too high; it comes of stopping after 2,000 steps,
    and a lower rate makes it worse (see learning_rates). Outside of the points the sigmoids are saturated, and no
    number of steps helps.
    """

    steps: int = 8000
    """With all eight training points."""
    learning_rate: float = 1e-3
    """Of Adam."""
    width: int = 50
    """Units in each of the three hidden layers."""
    seeds: int = 5
    """Networks."""
    seed: int = 0
    """Of their first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("steps", "learning_rate", "width", "seeds")

    def run(self) -> Findings:
        """See `Study`."""
        train, test = split(on_line(parabola, np.arange(1.0, 11.0)))
        x = np.linspace(-2, 15, 69)
        key, rates = stream_key(self.seed, "parabola"), [self.learning_rate]
        fitted = fit_rates(deep(self.width), key, self.seeds, rates, train, test, self.steps, column(x))
        early = self.steps // 4
        moments = {"early": early, "end": self.steps}
        numbers = {}
        for name, step in moments.items():
            numbers |= {
                f"{name}/step": float(step),
                f"{name}/train": float(np.median(fitted.train[0, :, step])),
                f"{name}/test": float(np.median(fitted.test[0, :, step])),
                f"{name}/output_10": float(np.median(fitted.outputs[0, :, step, np.searchsorted(x, 10)])),
                f"{name}/output_15": float(np.median(fitted.outputs[0, :, step, -1])),
            }
        text = (
            f"After {early:,} steps the output stays at {numbers['early/output_10']:.0f} where it should rise to 105; "
            f"after {self.steps:,} it is {numbers['end/output_10']:.0f}. At x = 15 it should be 230 and is "
            f"{numbers['end/output_15']:.0f}: a network of saturating units does not extrapolate."
        )
        figure, axes = chart(1, 2, width=10, height=4, sharey=True)
        for plot, step in zip(axes, moments.values(), strict=True):
            _function(plot, parabola, x, train, test)
            band(plot, x, fitted.outputs[0, :, step], PALETTE[0], f"network, {self.seeds} seeds")
            plot.set(xlabel="x", title=f"After {step:,} steps", ylim=(-15, 170))
        axes[0].set_ylabel("y")
        legend_outside(axes[0], 4)
        return Findings(numbers=numbers, figures={"function": figure}, text=text)


def _function(axes, function: Callable, x, train: Examples, test: Examples | None = None) -> None:
    """The true curve and the points on it."""
    axes.plot(x, function(x), color=INK, linestyle=":", linewidth=1.3, label="function")
    axes.scatter(train.inputs, train.targets, s=18, color=INK, zorder=3, label="training points")
    if test is not None:
        settings = {"facecolors": "white", "edgecolors": INK, "zorder": 3, "label": "test points"}
        axes.scatter(test.inputs, test.targets, s=26, **settings)


@register("learning_rates", paper=f"{LANHAM} 3", systems=("LA13",))
@dataclass(frozen=True, kw_only=True)
class LearningRates(Study):
    """How fast to learn x^2 + 5: six learning rates, each from the same three starts, all at once.

        python -m experiments.run learning_rates

    Shows the training error by step and the errors in the end. Prints for each rate the median errors, the share of the
    seeds that fit the points (training error below 1) and the median of the steps that these took.
    """

    steps: int = 7000
    """With all eight training points."""
    width: int = 50
    """Units in each of the three hidden layers."""
    seeds: int = 3
    """Networks of each rate."""
    seed: int = 0
    """Of their first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("steps", "width", "seeds")

    def run(self) -> Findings:
        """See `Study`."""
        train, test = split(on_line(parabola, np.arange(1.0, 11.0)))
        rates = [1e-4, 1e-3, 3e-3, 1e-2, 2.5e-2, 1e-1]
        key = stream_key(self.seed, "parabola")
        fitted = fit_rates(deep(self.width), key, self.seeds, rates, train, test, self.steps)
        numbers, fits = {}, fitted.train[..., -1] < 1
        for i, rate in enumerate(rates):
            numbers |= medians(f"{rate:g}", fitted, i) | {f"{rate:g}/fit": float(fits[i].mean())}
            if fits[i].any():
                numbers[f"{rate:g}/steps_to_fit"] = float(np.median((fitted.train[i, fits[i]] < 1).argmax(axis=1)))
        quick = max((rate for i, rate in enumerate(rates) if fits[i].all()), default=None)
        text = (
            f"The largest rate at which all {self.seeds} seeds fit is {quick:g}, in "
            f"{numbers[f'{quick:g}/steps_to_fit']:,.0f} steps (median). Higher ones saturate the sigmoids of some "
            "networks, which then learn no more."
            if quick
            else "At no rate do all seeds fit the points in so few steps."
        )
        if quick and (slower := numbers.get(f"{quick / 10:g}/steps_to_fit")):
            text += f" A tenth of the rate costs {slower / numbers[f'{quick:g}/steps_to_fit']:.0f} times the steps."
        figure, axes = chart(1, 2, width=10.5, height=4.2, width_ratios=(1.5, 1))
        # An error can be 0 to rounding, which has no place on a logarithmic axis.
        steps, least = np.arange(1, self.steps + 2), 1e-12
        for i, rate in enumerate(rates):
            # Of noisy curves the lowest so far shows how far the network has come.
            lowest = np.maximum(np.minimum.accumulate(fitted.train[i], axis=1), least)
            band(axes[0], steps, lowest, PALETTE[i], f"rate {rate:g}")
            for kind, marker in ((fitted.train, "o"), (fitted.test, "x")):
                errors = np.maximum(kind[i, :, -1], least)
                axes[1].scatter([rate] * self.seeds, errors, s=22, marker=marker, color=PALETTE[i])
        axes[0].axhline(1, color=INK, linestyle=":", linewidth=1)
        axes[0].set(xlabel="step", ylabel="lowest training error so far", xscale="log", yscale="log")
        axes[0].set_title("Mean squared error: median and range of the seeds")
        axes[1].set(xlabel="learning rate", ylabel="error after the last step", xscale="log", yscale="log")
        axes[1].set_title("Training (dots), test (crosses)")
        legend_outside(axes[0], 6)
        return Findings(numbers=numbers, figures={"learning_rates": figure}, text=text)


@register("over_and_under_fitting", paper=f"{LANHAM} 3", systems=("LA14",))
@dataclass(frozen=True, kw_only=True)
class OverAndUnderFitting(Study):
    """Five networks on x^2 + 5: too narrow, right, and with too few points.

        python -m experiments.run over_and_under_fitting

    Shows for three widths on 72 points, and for two of them on 7 points, what the networks of several seeds give.
    Prints the median errors on training and test points.
    """

    steps: int = 1000
    """With all training points."""
    learning_rate: float = 1e-2
    """Of Adam."""
    seeds: int = 3
    """Networks of each kind."""
    seed: int = 0
    """Of their first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("steps", "learning_rate", "seeds")

    def run(self) -> Findings:
        """See `Study`."""
        key, x = stream_key(self.seed, "widths"), np.linspace(0, 12, 49)
        figure, axes = chart(1, 5, width=13, height=3.5, sharey=True)
        numbers = {}
        plots = iter(axes)
        for step, widths in ((0.1, [5, 20, 100]), (1.0, [20, 100])):
            train, test = split(on_line(parabola, 1 + step * np.arange(round(9 / step))))
            more = (widths, self.learning_rate, train, test, self.steps, column(x))
            fitted = fit_widths(shallow, key, self.seeds, *more)
            for i, width in enumerate(widths):
                plot, found = next(plots), medians(f"width_{width}_step_{step:g}", fitted, i)
                numbers |= found
                _function(plot, parabola, x, train)
                band(plot, x, fitted.outputs[i, :, -1], PALETTE[0], f"network, {self.seeds} seeds")
                plot.set(xlabel="x", title=f"{width} units, {len(train.targets)} points", ylim=(-10, 140))
                errors = "\n".join(f"{name.split('/')[1]} {error:.3g}" for name, error in found.items())
                plot.text(0.04, 0.96, errors, va="top", transform=plot.transAxes)
        axes[0].set_ylabel("y")
        legend_outside(axes[0], 3)
        text = (
            "Five units cannot follow the curve (under-fitting). With enough points a hundred do well on both. With "
            "seven points they meet each of these and miss what lies between (over-fitting): the test error is many "
            "times the training error."
        )
        return Findings(numbers=numbers, figures={"fits": figure}, text=text)


@register("log_density", paper=f"{LANHAM} 3, companion code", systems=("LA36",))
@dataclass(frozen=True, kw_only=True)
class LogDensity(Study):
    """A network learns the log-density of the standard normal from fifty places in [-1, 1].

        python -m experiments.run log_density

    Shows the density and its logarithm as the network gives them, inside of the interval and beyond. Prints the errors
    there and there: a network that is right to a thousandth where it has seen points may be off by several nats
    elsewhere, which is why a density is better built so that it is one everywhere.
    """

    num_points: int = 50
    """Places, uniform in [-1, 1]; a fifth is for the test."""
    steps: int = 10_000
    """With all training points."""
    learning_rate: float = 1e-3
    """Of Adam."""
    width: int = 50
    """Units in each of the three hidden layers."""
    seeds: int = 3
    """Networks."""
    seed: int = 0
    """Of the places and the first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("num_points", "steps", "learning_rate", "width", "seeds")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"num_points": (5, 100_000)}

    def run(self) -> Findings:
        """See `Study`."""
        places = np.random.default_rng(self.seed).uniform(-1, 1, self.num_points)
        train, test = split(on_line(_log_normal, places))
        network, key = deep(self.width), stream_key(self.seed, "log density")
        fitted = fit_rates(network, key, self.seeds, [self.learning_rate], train, test, self.steps)
        x = np.linspace(-4, 4, 161)
        draw = jax.jit(jax.vmap(lambda params: network.apply({"params": params}, column(x))))
        outputs = np.asarray(draw(jax.tree.map(lambda leaf: leaf[0], fitted.params)))
        inside = np.abs(x) <= 1
        errors = np.abs(outputs - _log_normal(x))
        numbers = medians("squared_error", fitted) | {
            "largest_error_inside": float(np.median(errors[:, inside].max(axis=1))),
            "error_at_4": float(np.median(errors[:, -1])),
            "integral": float(np.median(np.exp(outputs).sum(axis=1) * (x[1] - x[0]))),
        }
        text = (
            f"In [-1, 1] the network is right to {numbers['largest_error_inside']:.1g} nats, at x = 4 it is off by "
            f"{numbers['error_at_4']:.1f}; what should be a density has an integral of {numbers['integral']:.2f} over "
            "[-4, 4] alone."
        )
        figure, axes = chart(1, 2, width=10, height=3.9)
        for plot, change, name in zip(axes, (lambda y: y, np.exp), ("log-density in nats", "density"), strict=True):
            plot.axvspan(-1, 1, color=PALETTE[6], alpha=0.1, linewidth=0, label="interval of the points")
            plot.plot(x, change(_log_normal(x)), color=INK, linestyle=":", label="standard normal")
            band(plot, x, change(outputs), PALETTE[0], f"network, {self.seeds} seeds")
            plot.set(xlabel="x", ylabel=name)
        legend_outside(axes[0], 3)
        return Findings(numbers=numbers, figures={"log_density": figure}, text=text)


def _log_normal(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return -0.5 * x**2 - 0.5 * math.log(2 * math.pi)
