"""A study of regression on real data, where a network over-fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import jax
import numpy as np
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from experiments.studies.approximation import LANHAM, deep, fit_widths, medians, split
from gdl_jax.models.linear import least_squares, mean_squared_error, with_ones
from gdl_jax.models.regression import Examples
from gdl_jax.pictures.charts import INK, SOFT, band, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key


@register("diabetes_regression", paper=f"{LANHAM} 1", systems=("LA05",))
@dataclass(frozen=True, kw_only=True)
class DiabetesRegression(Study):
    """A network of three hidden layers over-fits 353 patients; a line does better.

        python -m experiments.run diabetes_regression
        python -m experiments.run diabetes_regression --preset lanham

    Shows the errors by step for several seeds at once, the predictions in the end, and the errors by width. Prints mean
    squared errors of a measure of the disease's progress (25 to 346), at the best step for the test set and in the end,
    and those of linear regression.

    The text takes the prices of houses in Boston. That data set is no longer shipped, for its feature of race; this is
    the diabetes data of scikit-learn, 442 patients of 10 features. The preset "lanham" leaves all numbers as they are,
    as the text does, and therefore needs 8,000 steps. The text says that the output is a sigmoid's; its code is
    right: the last hidden layer is.
    """

    width: int = 50
    """Units in each of the three hidden layers."""
    steps: int = 300
    """With all training examples."""
    learning_rate: float = 6e-3
    """Of Adam."""
    standardize: bool = True
    """Give inputs and targets the mean 0 and the deviation 1, of the training examples."""
    seeds: int = 3
    """Networks."""
    seed: int = 0
    """Of their first parameters."""

    positive: ClassVar[tuple[str, ...]] = ("width", "steps", "learning_rate", "seeds")

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Study`."""
        return {"lanham": cls(steps=8000, learning_rate=1e-3, standardize=False, seeds=1)}

    def run(self) -> Findings:
        """See `Study`."""
        from sklearn.datasets import load_diabetes

        inputs, targets = load_diabetes(return_X_y=True, scaled=False)
        raw = split(Examples(inputs.astype(np.float32), targets.astype(np.float32)))
        center, spread = raw[0].inputs.mean(axis=0), raw[0].inputs.std(axis=0)
        mean, unit = raw[0].targets.mean(), raw[0].targets.std()
        standard = tuple(Examples((x - center) / spread, (y - mean) / unit) for x, y in raw)
        linear = float(jax.jit(_linear_error)(*standard)) * unit**2
        train, test = standard if self.standardize else raw
        unit = unit if self.standardize else 1.0

        key, widths = stream_key(self.seed, "diabetes"), sorted({2, 10, self.width})
        fitted = fit_widths(deep, key, self.seeds, widths, self.learning_rate, train, test, self.steps)
        chosen = widths.index(self.width)
        train_errors, test_errors = unit**2 * fitted.train[chosen], unit**2 * fitted.test[chosen]
        best = int(np.median(test_errors, axis=0).argmin())
        numbers = {
            "linear/test": linear,
            "best_step": float(best),
            "best_step/test": float(np.median(test_errors[:, best])),
        }
        for i, width in enumerate(widths):
            numbers |= {name: float(unit**2 * e) for name, e in medians(f"width_{width}", fitted, i).items()}
        end = {kind: numbers[f"width_{self.width}/{kind}"] for kind in ("train", "test")}
        text = (
            f"The training error falls to {end['train']:,.0f}; the test error is least at step {best}, "
            f"{numbers['best_step/test']:,.0f}, and ends at {end['test']:,.0f}. Linear regression has {linear:,.0f} on "
            "the test set. The narrower the network, the nearer its two errors are to each other."
        )
        first = jax.tree.map(lambda leaf: leaf[chosen, 0], fitted.params)
        network = deep(max(widths)).clone(used=self.width)
        every = np.concatenate([part.inputs for part in (train, test)])
        outputs = np.split(jax.jit(network.apply)({"params": first}, every), [len(train.inputs)])
        targets = [part.targets for part in raw]
        if self.standardize:
            outputs = [mean + unit * output for output in outputs]
        figures = {
            "errors": _over_fitting(train_errors, test_errors, linear, best),
            "predictions": _predictions(targets, outputs),
            "widths": _widths(numbers, widths, linear),
        }
        return Findings(numbers=numbers, figures=figures, text=text)


def _linear_error(train: Examples, test: Examples) -> Float[jax.Array, ""]:
    """Mean squared error of linear regression on the test examples."""
    weights = least_squares(with_ones(train.inputs), train.targets)
    return mean_squared_error(weights, with_ones(test.inputs), test.targets)


def _over_fitting(train, test, linear: float, best: int):
    figure, (axes,) = chart(width=7, height=3.9)
    steps = np.arange(train.shape[1])
    band(axes, steps, train, PALETTE[0], "training examples")
    band(axes, steps, test, PALETTE[1], "test examples")
    axes.axhline(linear, color=INK, linestyle=":", label="linear regression, test")
    axes.axvline(best, color=SOFT, linestyle="--", linewidth=1, label="least test error")
    title = f"Over-fitting: median and range of {len(train)} seeds" if len(train) > 1 else "Over-fitting"
    axes.set(xlabel="step", ylabel="mean squared error", yscale="log", title=title)
    legend_outside(axes, 2)
    return figure


def _predictions(targets, outputs):
    figure, axes = chart(1, 2, width=8.4, height=4, sharex=True, sharey=True)
    for i, (plot, name) in enumerate(zip(axes, ("Training examples", "Test examples"), strict=True)):
        plot.scatter(targets[i], outputs[i], s=10, color=PALETTE[i])
        plot.plot([20, 350], [20, 350], color=INK, linewidth=1, linestyle=":")
        plot.set(xlabel="progress of the disease", title=name)
    axes[0].set_ylabel("prediction after the last step")
    return figure


def _widths(numbers: dict[str, float], widths: list[int], linear: float):
    figure, (axes,) = chart(width=6.4, height=3.7)
    for i, kind in enumerate(("train", "test")):
        errors = [numbers[f"width_{width}/{kind}"] for width in widths]
        axes.plot(widths, errors, color=PALETTE[i], marker="o", label={"train": "training", "test": "test"}[kind])
    axes.axhline(linear, color=INK, linestyle=":", label="linear regression, test")
    axes.set(xlabel="units in each hidden layer", ylabel="mean squared error", xscale="log", yscale="log")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.set_title("After the last step, by width")
    legend_outside(axes, 3)
    return figure
