"""Studies of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.registry import Findings, Study, register
from gdl_jax.errors import UsageError
from gdl_jax.models.autoregressive import Autoregressive, lags, simulate
from gdl_jax.models.linear import mean_squared_error, with_ones
from gdl_jax.pictures.charts import INK, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.minimize import minimize
from gdl_jax.steps.random import stream_key


class Found(NamedTuple):
    """What a model says of the test series; errors are root mean squares.

    Attributes:
        log_prob: of the whole.
        one_step: error with the true past as input.
        errors: of free runs from many places, by their length.
        deviation: what `errors` should be.
        predicted: one-step means of the first two horizons.
        free: means of the second horizon from the first one.
        drawn: the same with noise.
    """

    log_prob: Array
    one_step: Array
    errors: Array
    deviation: Array
    predicted: Array
    free: Array
    drawn: Array


@register("ar", paper="Yule 1927; Valle, Hands-On GANs with Keras, chapter 2", systems=("S05",))
@dataclass(frozen=True, kw_only=True)
class AR(Study):
    """The linear autoregressive model AR(p): teacher forcing against free running.

        python -m experiments.run ar

    Shows one-step predictions from the true past beside the model's own continuation, the error of a forecast by its
    distance with the closed form sigma sqrt(sum of psi_j^2), and what the model draws. Prints the coefficients that
    least squares and gradient descent find, and both errors.

    The text's sum has Y[t-1] in every term; it is Y[t-i].
    """

    num_steps: int = 5000
    """Length of the training series; the test series is as long."""
    order: int = 2
    """Of the model that is fitted."""
    first: float = 1.5
    """The coefficient of Y[t-1] of the process."""
    second: float = -0.75
    """The coefficient of Y[t-2] of the process."""
    horizon: int = 40
    """Steps that the model runs on its own."""
    seed: int = 0
    """Of the series."""

    positive: ClassVar[tuple[str, ...]] = ("num_steps", "order", "horizon")

    def __post_init__(self):
        super().__post_init__()
        if not (abs(self.second) < 1 and abs(self.first) < 1 - self.second):
            raise UsageError(
                f"--first {self.first} and --second {self.second} make no stationary process; "
                "it takes |second| < 1 and |first| < 1 - second."
            )
        if self.horizon < 2:
            raise UsageError("--horizon is 1; it has to be 2 or more.")
        if self.order > self.horizon:
            raise UsageError(f"--order is {self.order}; it can be no more than --horizon, {self.horizon}.")
        if self.num_steps < 10 * (self.order + self.horizon):
            raise UsageError(
                f"--num-steps is {self.num_steps}; it has to be {10 * (self.order + self.horizon)} or more."
            )

    def run(self) -> Findings:
        """See `Study`."""
        model, test, descent, found = self._work()
        error, deviation = found.errors, found.deviation[: self.horizon]
        numbers = {
            **{f"least_squares/beta_{i + 1}": float(b) for i, b in enumerate(model.coefficients)},
            "least_squares/alpha": float(model.intercept),
            "least_squares/sigma": float(model.scale),
            "descent/largest_difference_from_least_squares": float(
                np.abs(descent.params - np.append(model.coefficients, model.intercept)).max()
            ),
            "log_prob_per_step": float(found.log_prob) / (len(test) - self.order),
            "teacher_forcing/error": float(found.one_step),
            **{f"free_running/error_after_{h}": float(error[h - 1]) for h in sorted({1, 2, 5, self.horizon})},
            "free_running/predicted_error_in_the_end": float(deviation[-1]),
            "deviation_of_the_series": float(test.std()),
        }
        text = (
            f"With the true past as input the error is {found.one_step:.2f} at every step, that of the noise. Fed with "
            f"its own output, the model errs by {error[1]:.2f} after two steps and {error[-1]:.2f} after "
            f"{self.horizon}, as much as the series varies: its means fade to a constant, and only with noise does it "
            "go on to swing."
        )
        figures = {
            "series": self._series(test, found),
            "error": _growth(error, deviation, float(found.one_step), float(test.std())),
            "descent": _descent(descent.losses, float(model.scale) ** 2),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _work(self):
        """All that is computed: model, series, descent, and what the model says of the test series."""
        k_train, k_test, k_draw = jax.random.split(stream_key(self.seed, "ar"), 3)
        starts = np.arange(self.order, self.num_steps - self.horizon, 3)

        @jax.jit
        def work():
            truth = Autoregressive(jnp.zeros(()), jnp.array([self.first, self.second]), jnp.ones(()))
            train, test = simulate(truth, k_train, self.num_steps), simulate(truth, k_test, self.num_steps)
            model = Autoregressive.fit(train, self.order)

            def error(start):
                past = jax.lax.dynamic_slice(test, (start - self.order,), (self.order,))
                future = jax.lax.dynamic_slice(test, (start,), (self.horizon,))
                return model.rollout(past, self.horizon) - future

            past = test[self.horizon - self.order : self.horizon]
            found = Found(
                log_prob=model.log_prob(test),
                one_step=jnp.sqrt(jnp.square(model.predict(test) - test[self.order :]).mean()),
                errors=jnp.sqrt(jnp.square(jax.vmap(error)(starts)).mean(axis=0)),
                deviation=model.forecast_deviation(self.horizon),
                predicted=model.predict(test[: 2 * self.horizon]),
                free=model.rollout(past, self.horizon),
                drawn=model.rollout(past, self.horizon, k_draw),
            )
            return model, test, self._descend(train), found

        return jax.device_get(work())

    def _descend(self, series):
        """Gradient descent on the same squared error; the inverse of the largest curvature as step."""
        design, targets = with_ones(lags(series, self.order)), series[self.order :]
        rate = 0.5 / jnp.linalg.eigvalsh(design.T @ design / len(design)).max()

        def loss(weights, _):
            return mean_squared_error(weights, design, targets)

        return minimize(loss, jnp.zeros(self.order + 1), optax.sgd(rate), 500)

    def _series(self, test, found: Found):
        time = np.arange(2 * self.horizon)
        later, deviation = time[self.horizon :], found.deviation
        figure, axes = chart(3, 1, width=8, height=6.4, sharex=True, sharey=True)
        for plot in axes:
            plot.plot(time, test[: len(time)], color=INK, linewidth=1.2, label="series")
            plot.set_ylabel("value")
        axes[0].plot(time[self.order :], found.predicted, color=PALETTE[0], label="predicted mean")
        axes[0].set_title("Teacher forcing: each step predicted from the true past")
        axes[1].plot(later, found.free, color=PALETTE[0])
        axes[1].fill_between(
            later, found.free - deviation, found.free + deviation, color=PALETTE[0], alpha=0.18, linewidth=0
        )
        axes[1].set_title("Free running: the mean fed back, with one standard deviation")
        axes[2].plot(later, found.drawn, color=PALETTE[1])
        # For the legend, which is made from the first plot.
        axes[0].plot([], color=PALETTE[1], label="drawn with noise")
        axes[2].set(xlabel="step", title="Free running with noise: what the model generates")
        for plot in axes[1:]:
            plot.axvline(self.horizon - 0.5, color=INK, linestyle=":", linewidth=1)
        legend_outside(axes[0], 3)
        return figure


def _growth(error, deviation, teacher_forced: float, spread: float):
    figure, (axes,) = chart(width=6.4, height=3.8)
    steps = np.arange(1, len(error) + 1)
    axes.plot(steps, error, color=PALETTE[1], marker="o", markersize=3, label="free running")
    axes.plot(steps, deviation, color=INK, linestyle=":", label="closed form")
    axes.axhline(teacher_forced, color=PALETTE[0], label="teacher forcing")
    axes.axhline(spread, color=PALETTE[7], linestyle="--", label="deviation of the series")
    axes.set(xlabel="steps since the last true value", ylabel="root mean squared error", ylim=(0, None))
    axes.set_title("Errors accumulate")
    legend_outside(axes, 2)
    return figure


def _descent(losses, least: float):
    figure, (axes,) = chart(width=6.4, height=3.2)
    axes.plot(losses, color=PALETTE[0], label="gradient descent")
    axes.axhline(least, color=INK, linestyle=":", label="least squares")
    axes.set(xlabel="step", ylabel="mean squared error", yscale="log", title="The same fit by gradient descent")
    legend_outside(axes, 2)
    return figure
