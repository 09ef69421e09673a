"""Studies of what a GAN's metrics tell: whether its training fails, and whether its samples get better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Key
from scipy.stats import spearmanr

from experiments.registry import Findings, Study, register
from experiments.studies.compiling import quick_jit
from experiments.studies.gaussian_gans import Mixture, point_gan, start, train
from gdl_jax.losses.adversarial import non_saturating, wasserstein
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.metrics.modes import ring
from gdl_jax.metrics.monitor import Alarm, Series, running, watch
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.pictures.charts import INK, SOFT, chart
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

RUNS = {"healthy": (2e-3, 2e-3), "generator too slow": (1e-2, 1e-6), "steps too large": (0.3, 0.3)}
"""Learning rates of discriminator and generator."""

RING = Mixture(ring(radius=3.0), 0.1)
BATCH_SIZE = 64


def trained(
    key: Key[Array, ""], rates: Float[Array, " 2"], steps: int
) -> tuple[dict[str, Float[Array, " {steps}"]], Float[Array, "400 2"]]:
    """A GAN on the ring: its metrics at every step, and what its generator draws in the end."""
    adam = {name: optax.adam(rate, b1=0.5) for name, rate in zip(("discriminator", "generator"), rates, strict=True)}
    model = replace(point_gan(non_saturating(), units=32, latent_size=4), optimizers=adam)
    state, metrics = train(model, start(model, key, BATCH_SIZE), RING.draw, key, steps, batch_size=BATCH_SIZE)
    return metrics, model.sample(state, key, 400).reshape(400, 2)


@register(
    "training_monitor",
    paper="Valle, Hands-On GANs with Keras, chapter 5; Chintala et al. 2016, How to train a GAN",
    systems=("S31", "F22"),
)
@dataclass(frozen=True, kw_only=True)
class TrainingMonitor(Study):
    """Three GANs, of which two fail, and the rules that tell so from their metrics: losses, gradients, accuracies.

        python -m experiments.run training_monitor

    Trains them at once on eight Gaussians on a circle: a healthy one, one whose generator is ten thousand times too
    slow, one whose steps are far too large. Shows the discriminator's loss with its running mean and five running
    deviations, the norm of its gradient, its accuracy on real and generated points, and what the generator draws; marks
    the first alarm of each rule. Prints alarms and how the loss varies.

    The report of every run of a GAN has the same alarms.
    """

    steps: int = 1500
    """Of each player."""
    seed: int = 0
    """Of the first parameters and of all draws."""

    positive: ClassVar[tuple[str, ...]] = ("steps",)

    def run(self) -> Findings:
        """See `Study`."""
        key, rates = stream_key(self.seed, "monitor"), jnp.array(list(RUNS.values()))

        @jax.jit
        def work():
            metrics, drawn = jax.vmap(lambda pair: trained(key, pair, self.steps))(rates)
            return metrics, drawn, RING.draw(key, 400).reshape(400, 2)

        metrics, drawn, real = jax.device_get(work())
        steps, numbers, alarms = np.arange(1, self.steps + 1), {}, {}
        for i, name in enumerate(RUNS):
            series = {metric: Series(steps, values[i]) for metric, values in metrics.items()}
            alarms[name] = watch(series)
            late = slice(self.steps // 2, None)
            numbers |= {
                f"{name}/alarms": float(len(alarms[name])),
                f"{name}/first_alarm": float(alarms[name][0].step if alarms[name] else 0),
                f"{name}/loss": float(metrics["discriminator/loss"][i, late].mean()),
                f"{name}/deviation_of_loss": float(metrics["discriminator/loss"][i, late].std()),
                f"{name}/largest_gradient_norm": float(metrics["discriminator/gradient_norm"][i].max()),
                f"{name}/accuracy_real": float(metrics["discriminator/accuracy_real"][i, late].mean()),
                f"{name}/accuracy_fake": float(metrics["discriminator/accuracy_fake"][i, late].mean()),
            }
        lines = [f"{name}: {_words(found)}" for name, found in alarms.items()]
        text = "\n".join(["A generator that cannot be told from the data leaves the loss near 2 ln 2 = 1.39.", *lines])
        return Findings(numbers=numbers, figures={"monitor": _figure(metrics, drawn, real, alarms)}, text=text)


def _words(alarms: list[Alarm]) -> str:
    """All alarms of a run."""
    return "; ".join(f"step {a.step:,}, {a.metric}: {a.words}" for a in alarms) or "no alarm"


def _figure(metrics, drawn, real, alarms: dict[str, list[Alarm]]):
    figure, axes = chart(len(RUNS), 4, width=13, height=8.4)
    for i, (name, row) in enumerate(zip(RUNS, axes.reshape(len(RUNS), 4), strict=True)):
        values = metrics["discriminator/loss"][i]
        steps = np.arange(1, len(values) + 1)
        mean, variance = running(Series(steps, values))
        bounds = mean - 5 * np.sqrt(variance), mean + 5 * np.sqrt(variance)
        row[0].fill_between(steps, *bounds, color=PALETTE[0], alpha=0.15, linewidth=0, label="5 running deviations")
        row[0].plot(steps, values, color=SOFT, linewidth=0.6, label="discriminator's loss")
        row[0].plot(steps, mean, color=PALETTE[0], label="running mean")
        row[0].axhline(2 * np.log(2), color=INK, linestyle=":", linewidth=1, label="2 ln 2")
        row[0].set(ylabel=name, title="Loss", ylim=(-0.1, min(2.5, 1.1 * values.max() + 0.1)))
        row[1].plot(steps, metrics["discriminator/gradient_norm"][i], color=SOFT, linewidth=0.6)
        row[1].axhline(100, color=PALETTE[4], linestyle="--", linewidth=1, label="limit")
        row[1].set(title="Norm of its gradient", yscale="log")
        for kind, colour in (("real", 0), ("fake", 1)):
            mean, _ = running(Series(steps, metrics[f"discriminator/accuracy_{kind}"][i]))
            row[2].plot(steps, 100 * mean, color=PALETTE[colour], label=f"accuracy on {kind} points")
        row[2].set(title="Accuracy in percent", ylim=(0, 105))
        for plot in row[:3]:
            plot.set(xlabel="step" if i == len(RUNS) - 1 else "")
        for alarm in alarms[name]:
            place = row[0] if alarm.metric == "discriminator/loss" else row[1]
            if alarm.metric.startswith("discriminator/"):
                place.axvline(alarm.step, color=PALETTE[4], linewidth=1.4, label="first alarm of a rule")
        row[3].scatter(*real.T, s=4, color=INK, label="data")
        row[3].scatter(*drawn[i].T, s=4, color=PALETTE[1], alpha=0.6, label="generated")
        row[3].set(title="What it draws", xlim=(-4, 4), ylim=(-4, 4), aspect="equal", xticks=(-3, 0, 3))
    entries = {}
    for plot in axes:
        handles, labels = plot.get_legend_handles_labels()
        entries = dict(zip(labels, handles, strict=True)) | entries
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=5)
    return figure


LOOKS = 40
TRAINED: dict[str, GAN] = {
    "non-saturating": point_gan(non_saturating(), latent_size=4, learning_rate=2e-4),
    "Wasserstein": replace(
        point_gan(
            wasserstein(),
            latent_size=4,
            regularisers=(Regulariser(penalty=gradient_penalty, weight=10.0),),
            discriminator_repeats=10,
        ),
        optimizers={"generator": optax.adam(1e-4, b1=0, b2=0.9), "discriminator": optax.adam(1e-3, b1=0, b2=0.9)},
    ),
}
"""A critic tells the distance only where it is near its best: it has ten large steps for a small one."""


@register(
    "informative_losses",
    paper="Arjovsky et al. 2017, arXiv:1701.07875, section 4.2; Foster, Generative Deep Learning, chapter 4",
    systems=("F22",),
)
@dataclass(frozen=True, kw_only=True)
class InformativeLosses(Study):
    """Whether a loss tells how good the samples are: a GAN's does not, what a critic takes for the distance does.

        python -m experiments.run informative_losses

    Trains two GANs on eight Gaussians on a circle, several times each, with the non-saturating loss and with
    Wasserstein's, its critic held 1-Lipschitz by a gradient penalty. Shows forty times along the way the losses beside
    the energy distance of samples and data (Szekely, Rizzo 2013), which is 0 for equal distributions. Prints rank
    correlations of each loss with that distance after the first twentieth of the training: over all runs and times,
    which a common trend is enough for, and between the runs at a time, with the mean over the runs taken off both.

    By default (30 s of CPU), with --seed 0 and 1:

        loss                                     over all    between runs
        non-saturating, generator              0.16   0.21     0.81   0.70
        non-saturating, discriminator         -0.72  -0.55    -0.85  -0.89
        Wasserstein, generator                 0.97   0.97     0.32   0.41
        Wasserstein, distance by the critic    1.00   1.00     0.90   0.92

    The energy distance falls from 2.1 to 0.46 and 1.32, the median of four, with Wasserstein's loss to 0.25 and 0.20.
    Between runs a GAN's losses tell those that fail, in which the discriminator wins; over time the generator's tells
    next to nothing. The Wasserstein generator's falls with the distance, a common trend, but is no measure that runs
    share, for the critic's scores drift.
    """

    steps: int = 600
    """Of each generator."""
    seeds: int = 4
    """Runs."""
    seed: int = 0
    """Of all of them."""

    multiples: ClassVar[dict[str, int]] = {"steps": LOOKS}
    limits: ClassVar[dict[str, tuple[float, float]]] = {"seeds": (2, 100)}

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Study`."""
        return {"smoke": cls(steps=400, seeds=3)}

    def run(self) -> Findings:
        """See `Study`."""
        keys = jax.random.split(stream_key(self.seed, "informative losses"), self.seeds)
        numbers, found = {}, {}
        for name, model in TRAINED.items():
            metrics, drawn, real = jax.device_get(quick_jit(jax.vmap(partial(self._watched, model)))(keys))
            distances = np.array(
                [[energy_distance(x, data) for x in run] for run, data in zip(drawn, real, strict=True)]
            )
            losses = {"loss of the generator": metrics["generator/loss"]}
            if name == "Wasserstein":
                # Without the penalty: what the critic takes for the distance.
                losses["distance by the critic"] = (
                    metrics["discriminator/logit_real"] - metrics["discriminator/logit_fake"]
                )
            else:
                losses["loss of the discriminator"] = metrics["discriminator/loss"]
            found[name] = distances, losses
            numbers[f"{name}/energy_distance_at_last"] = float(np.median(distances[:, -1]))
            for kind, values in losses.items():
                late = values[:, LOOKS // 20 :], distances[:, LOOKS // 20 :]
                numbers[f"{name}/correlation_of_{kind}"] = rank_correlation(*late)
                apart = (x - x.mean(axis=0) for x in late)
                numbers[f"{name}/correlation_between_runs_of_{kind}"] = rank_correlation(*apart)
        text = "Rank correlation with the distance of the samples, and between runs: " + "; ".join(
            f"{kind} ({name}) {numbers[f'{name}/correlation_of_{kind}']:.2f}, "
            f"{numbers[f'{name}/correlation_between_runs_of_{kind}']:.2f}"
            for name, (_, losses) in found.items()
            for kind in losses
        )
        return Findings(numbers=numbers, figures={"losses": _losses_figure(found, self.steps)}, text=text + ".")

    def _watched(self, model: GAN, key: Array) -> tuple[dict[str, Array], Array, Array]:
        """The mean metrics of every fortieth of the training, what the generator draws after it, and data."""

        def part(state, number):
            k_part = jax.random.fold_in(key, number)
            state, metrics = train(model, state, RING.draw, k_part, self.steps // LOOKS, batch_size=BATCH_SIZE)
            points = model.sample(state, key, 500).reshape(500, 2)
            return state, (jax.tree.map(jnp.mean, metrics), points)

        metrics, drawn = jax.lax.scan(part, start(model, key, BATCH_SIZE), jnp.arange(LOOKS))[1]
        return metrics, drawn, RING.draw(key, 500).reshape(500, 2)


def rank_correlation(x: Float[np.ndarray, "runs looks"], y: Float[np.ndarray, "runs looks"]) -> float:
    """Spearman's, over all of them."""
    return float(spearmanr(x.ravel(), y.ravel()).statistic)


def energy_distance(x: Float[np.ndarray, "n axes"], y: Float[np.ndarray, "m axes"]) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| over all pairs, Szekely and Rizzo 2013, eq. 6.1."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=2).mean())

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def _losses_figure(found: dict, steps: int):
    figure, axes = chart(2, len(found), width=10, height=5.4, sharex=True)
    places = steps / LOOKS * np.arange(1, LOOKS + 1)
    for i, (name, (distances, losses)) in enumerate(found.items()):
        for j, (kind, values) in enumerate(losses.items()):
            axes[i].plot(places, values.T, color=PALETTE[j], label=[kind, *[None] * (len(values) - 1)])
        axes[i].set(title=f"{name}: losses")
        axes[i].legend()
        axes[len(found) + i].plot(places, distances.T, color=INK)
        axes[len(found) + i].set(title="Energy distance of the samples", xlabel="step", yscale="log")
    return figure
