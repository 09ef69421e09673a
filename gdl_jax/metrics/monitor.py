"""Rules that tell from a GAN's metrics that its training fails: Valle, chapter 5, "Tracking failure".

They are signs and no proofs. The losses of critics (Wasserstein) are below 0 while the critic is ahead, which no rule
here takes for a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

WINDOW = 100.0
"""Steps over which averages decay by a factor of e."""


@dataclass(frozen=True)
class Series:
    """A metric by step. It may be noted every so many steps, as a mean of those since."""

    steps: Int[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Alarm:
    """A sign of failure: the step that it was seen at first, of which metric, and what it says."""

    step: int
    metric: str
    words: str


def running(series: Series, window: float = WINDOW) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Exponentially decaying mean and variance of what came before each value, and before the first: it, and 0.

    Args:
        series: of finite values.
        window: steps over which a value's weight falls by a factor of e.
    """
    means, variances = np.empty(len(series.values)), np.empty(len(series.values))
    mean, variance, weight, before = series.values[0], 0.0, 0.0, series.steps[0]
    for i, (step, value) in enumerate(zip(series.steps, series.values, strict=True)):
        means[i], variances[i] = mean, variance
        # Of all values so far, with 1 for the newest.
        weight = weight * np.exp(-(step - before) / window) + 1
        difference = value - mean
        mean += difference / weight
        variance = (1 - 1 / weight) * (variance + difference**2 / weight)
        before = step
    return means, variances


def vanished(series: Series, *, below: float = 1e-3, lasting: int = 200) -> int | None:
    """The first step at the end of `lasting` steps in which a loss was in [0, below)."""
    begun = None
    for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True):
        if not 0 <= value < below:
            begun = None
        elif begun is None:
            begun = step
        if begun is not None and step - begun >= lasting:
            return step
    return None


def exceeded(series: Series, limit: float = 100.0) -> int | None:
    """The first step with a value above the limit."""
    found = np.flatnonzero(series.values > limit)
    return int(series.steps[found[0]]) if len(found) else None


def spikes(series: Series, *, deviations: float = 5.0, window: float = WINDOW) -> Int[np.ndarray, " spikes"]:
    """The steps with a value so many running deviations above or below the running mean.

    Args:
        series: of finite values.
        deviations: how many.
        window: see `running`; none is looked for before so many steps and ten values have passed.
    """
    means, variances = running(series, window)
    beyond = np.abs(series.values - means) > deviations * np.sqrt(variances) + 1e-12
    beyond[:10] = False
    beyond[series.steps < series.steps[0] + window] = False
    return series.steps[beyond]


def oscillates(series: Series, *, above: float = 1.0, window: int = 100) -> int | None:
    """The first step at the end of a window in which a loss strayed from a straight line by so much, root mean square.

    A loss that only rises or falls does not. None for a loss that is ever below 0: a critic's scores have no scale.

    Args:
        series: of finite values, at least ten in a window.
        above: in nats, for the cross-entropy; that of a healthy discriminator lies within 2 ln 2.
        window: steps, of which at least ten have values.
    """
    if (series.values < 0).any():
        return None
    for i, last in enumerate(series.steps):
        first = int(np.searchsorted(series.steps, last - window, side="right"))
        if last - series.steps[0] < window or i - first < 9:
            continue
        moments = np.cov(series.steps[first : i + 1], series.values[first : i + 1], bias=True)
        if moments[1, 1] - moments[0, 1] ** 2 / moments[0, 0] > above**2:
            return int(last)
    return None


def watch(metrics: Mapping[str, Series]) -> list[Alarm]:
    """All alarms of a GAN's run, by step; none of anything else's.

    A discriminator's loss ("discriminator/loss") that stays near 0 or jumps, losses that swing, and norms of gradients
    ("*/gradient_norm") above 100 (a rule of thumb of "How to train a GAN", Chintala et al. 2016).
    """
    return sorted(_watch(metrics), key=lambda alarm: alarm.step)


def _watch(metrics: Mapping[str, Series]) -> Iterator[Alarm]:
    for name, series in metrics.items():
        if not name.startswith(("discriminator/", "generator/")):
            continue
        finite = np.isfinite(series.values)
        series = Series(series.steps[finite], series.values[finite])
        if not finite.any():
            continue
        if name == "discriminator/loss" and (step := vanished(series)) is not None:
            yield Alarm(step, name, "below 0.001 for 200 steps: nothing is left for the generator to learn from")
        if name in ("discriminator/loss", "generator/loss") and (step := oscillates(series)) is not None:
            yield Alarm(step, name, "swings by more than 1 within 100 steps")
        if name.endswith("/gradient_norm") and (step := exceeded(series)) is not None:
            yield Alarm(step, name, "above 100: updates are large")
        if name == "discriminator/loss" and len(jumps := spikes(series)):
            yield Alarm(int(jumps[0]), name, f"5 deviations off its running mean, {len(jumps)} times")
