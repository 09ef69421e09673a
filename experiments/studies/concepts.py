"""A study that draws the ideas which the texts explain by pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from gdl_jax.data.source import DataSettings, load
from gdl_jax.metrics.divergences import earth_movers_distance, kl_normal, transport_plan
from gdl_jax.models.linear import least_squares, with_ones
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.diagrams import draw_blocks
from gdl_jax.steps.minimize import minimize


@register("concept_figures", paper="Lanham, Generating a New Reality, chapters 1 to 5", systems=("LA35",))
@dataclass(frozen=True, kw_only=True)
class ConceptFigures(Study):
    """The texts' ideas as figures: chain rule, descent, one-hot vectors, distributions, divergences, transport, cycles.

        python -m experiments.run concept_figures

    Each figure is computed, not sketched. Prints what can be checked: the chain rule against automatic differentiation,
    the fitted line, a KL divergence in closed form and as the shaded area, the cost of a transport plan and the area
    between the cumulative distributions, which are the same number. (A logistic boundary: linear_regression. A kernel
    on its way over an image: convolution_mechanics.)

    N(mu, sigma^2) is written with the variance; the text calls sigma^2 the standard deviation. Its ball rolls down the
    function that is to be learnt; gradient descent moves on the loss as a function of the weights, and so it does here.
    """

    seed: int = 0
    """Of the scattered points."""

    def run(self) -> Findings:
        """See `Study`."""
        numbers: dict[str, float] = {}
        figures = {
            "chain_rule": _chain_rule(numbers),
            "descent": _descent(),
            "line": _line(self.seed, numbers),
            "one_hot": _one_hot(),
            "discontinuities": _discontinuities(),
            "distributions": _distributions(),
            "kl_divergence": _kl(numbers),
            "discriminator": _discriminator(),
            "earth_mover": _earth_mover(numbers),
            "cycles": _cycles(),
        }
        text = (
            "The chain rule agrees with automatic differentiation. A KL divergence is an area with parts below zero. "
            "The best discriminator is p / (p + q), and 1/2 everywhere when the generator is done. Moving earth costs "
            "mass times way, and on a line the cheapest plan keeps the order."
        )
        return Findings(numbers=numbers, figures=figures, text=text)


def _chain_rule(numbers: dict[str, float]):
    """dL/dw2 = dL/dy h and dL/dw1 = dL/dy w2 f'(w1 x) x, for one example."""
    x, target, w1, w2 = 0.8, 1.0, 1.5, -0.7

    def loss(weights):
        return 0.5 * jnp.square(weights[1] * nn.tanh(weights[0] * x) - target)

    h = math.tanh(w1 * x)
    dy = w2 * h - target
    by_hand = np.array([dy * w2 * (1 - h**2) * x, dy * h])
    automatic = np.asarray(jax.jit(jax.grad(loss))(jnp.array([w1, w2])))
    numbers["chain_rule/dL_dw1"], numbers["chain_rule/dL_dw2"] = map(float, by_hand)
    numbers["chain_rule/difference_from_autodiff"] = float(np.abs(by_hand - automatic).max())

    figure, (axes,) = chart(width=9, height=2.9)
    boxes = {
        f"x = {x:g}": (0.0, 1.0),
        f"h = tanh(w1 x)\n= {h:.3f}": (2.2, 1.0),
        f"y = w2 h\n= {w2 * h:.3f}": (4.4, 1.0),
        f"L = (y - t)²/2\n= {dy**2 / 2:.3f}": (6.6, 1.0),
        f"dL/dw1 = dL/dy w2 (1 - h²) x = {by_hand[0]:.3f}": (1.9, 0.0),
        f"dL/dw2 = dL/dy h = {by_hand[1]:.3f}": (4.9, 0.0),
        f"dL/dy = y - t\n= {dy:.3f}": (6.9, 0.0),
    }
    x_box, h_box, y_box, loss_box, dw1_box, dw2_box, dy_box = boxes
    arrows = [
        (x_box, h_box, f"w1 = {w1:g}"),
        (h_box, y_box, f"w2 = {w2:g}"),
        (y_box, loss_box, f"t = {target:g}"),
        (loss_box, dy_box, ""),
        (dy_box, dw2_box, ""),
        (dw2_box, dw1_box, ""),
    ]
    draw_blocks(axes, boxes, arrows, title="Forward above, backward below")
    return figure


def _descent():
    """A ball on a loss with two valleys, with steps that are small, right, large and too large."""

    def loss(w):
        return 0.25 * w**4 - w**2 + 0.3 * w + 1.3

    rates = {"small, 0.02": 0.02, "right, 0.08": 0.08, "large, 0.47": 0.47, "too large, 0.60": 0.60}
    w = np.linspace(-2.4, 2.4, 241)
    figure, axes = chart(1, 4, width=12, height=3.2, sharey=True)
    for i, (plot, (name, rate)) in enumerate(zip(axes, rates.items(), strict=True)):
        found = jax.jit(
            lambda rate=rate: minimize(lambda p, _: loss(p), jnp.float32(2.0), optax.sgd(rate), 12, lambda p: p)
        )()
        way = np.asarray(found.kept)
        plot.plot(w, loss(w), color=SOFT, linewidth=1.2)
        plot.plot(way, loss(way), color=PALETTE[i], marker="o", markersize=4, linewidth=0.9)
        plot.set(xlabel="weight", title=f"Step {name}", ylim=(-0.6, 3.4), xlim=(-2.4, 2.4))
    axes[0].set_ylabel("loss")
    return figure


def _line(seed: int, numbers: dict[str, float]):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 10, 40).astype(np.float32)
    y = (1.6 + 0.8 * x + random.normal(0, 1, 40)).astype(np.float32)
    slope, intercept = map(float, jax.jit(lambda: least_squares(with_ones(jnp.asarray(x)[:, None]), jnp.asarray(y)))())
    numbers["line/slope"], numbers["line/intercept"] = slope, intercept
    figure, (axes,) = chart(width=6, height=3.6)
    axes.vlines(x, intercept + slope * x, y, color=SOFT, linewidth=0.8, label="errors")
    axes.scatter(x, y, s=18, color=PALETTE[0], label="examples")
    ends = np.array([0, 10])
    axes.plot(ends, intercept + slope * ends, color=PALETTE[1], label=f"y = {slope:.2f} x + {intercept:.2f}")
    axes.set(xlabel="x", ylabel="y", title="The line of least squares")
    legend_outside(axes, 3)
    return figure


def _one_hot():
    """Digits, their one-hot vectors, and one of them as the vector that a dense layer takes."""
    source = load(DataSettings(num_examples=10), "train")
    images, labels = source.arrays["image"][..., 0], source.arrays["label"]
    figure, axes = chart(3, 1, width=9, height=4.6, height_ratios=(1, 1.9, 0.35))
    axes[0].imshow(np.concatenate(list(images), axis=1))
    axes[0].set_title("Ten digits of 28x28 pixels")
    axes[1].imshow(np.eye(10)[labels].T, cmap="Blues", aspect="auto", vmax=1.3)
    for place, label in enumerate(labels):
        for entry in range(10):
            axes[1].text(place, entry, str(int(entry == label)), ha="center", va="center", fontsize=7)
    axes[1].set(title="Their classes as one-hot vectors", ylabel="entry", xticks=range(10), yticks=range(10))
    axes[1].set_xticklabels([f"class {label}" for label in labels])
    axes[2].imshow(images[0].reshape(1, -1), aspect="auto")
    axes[2].set_title("The first digit as a vector of 784 numbers, row after row")
    for plot in (axes[0], axes[2]):
        plot.set(xticks=[], yticks=[])
    for plot in axes:
        plot.grid(False)
    return figure


def _discontinuities():
    figure, axes = chart(1, 3, width=10, height=3)
    left, right = np.linspace(-2, 0, 100, endpoint=False), np.linspace(0, 2, 101)[1:]
    for x, shift in ((left, -0.6), (right, 0.8)):
        axes[0].plot(x, 0.4 * x + shift, color=PALETTE[0])
    axes[0].scatter(0, -0.6, facecolors="white", edgecolors=PALETTE[0], zorder=3)
    axes[0].scatter(0, 0.8, color=PALETTE[0], zorder=3)
    axes[1].plot(np.concatenate([left, right]), np.concatenate([left, right]) ** 2 - 1, color=PALETTE[0])
    axes[1].scatter(0, -1, facecolors="white", edgecolors=PALETTE[0], zorder=3)
    axes[1].scatter(0, 1, color=PALETTE[0], zorder=3)
    for x in (left, right):
        axes[2].plot(x, 0.3 / np.where(x == 0, np.nan, x), color=PALETTE[0])
    for plot, name in zip(axes, ("A jump", "A hole", "A pole"), strict=True):
        plot.set(xlabel="x", ylabel="f(x)", title=name, ylim=(-3, 3))
    return figure


def _distributions():
    from scipy import stats

    figure, axes = chart(1, 2, width=10.5, height=4)
    x = np.linspace(-5, 5, 501)
    families = {
        "normal": stats.norm(),
        "Laplace": stats.laplace(),
        "logistic": stats.logistic(),
        "Student's t, 2 degrees": stats.t(2),
        "uniform on [-2, 2]": stats.uniform(-2, 4),
        "exponential": stats.expon(),
    }
    for i, (name, family) in enumerate(families.items()):
        axes[0].plot(x, family.pdf(x), color=PALETTE[i], label=name)
    for i, (mean, variance) in enumerate(((0, 1), (0, 0.2), (0, 5), (-2, 0.5))):
        density = _normal(x, mean, math.sqrt(variance))
        axes[1].plot(x, density, color=PALETTE[i], label=f"mean {mean}, variance {variance:g}")
    for plot, title in zip(axes, ("Some densities", "Normal densities"), strict=True):
        plot.set(xlabel="x", ylabel="density", title=title, ylim=(0, 1.08))
        plot.legend(loc="upper right")
    return figure


def _normal(x: Float[np.ndarray, " n"], mean: float, scale: float) -> Float[np.ndarray, " n"]:
    return np.exp(-0.5 * ((x - mean) / scale) ** 2) / (scale * math.sqrt(2 * math.pi))


def _kl(numbers: dict[str, float]):
    (mean_p, scale_p), (mean_q, scale_q) = (0.0, 1.0), (1.2, 1.4)
    x = np.linspace(-8, 10, 3601)
    p, q = _normal(x, mean_p, scale_p), _normal(x, mean_q, scale_q)
    integrand = p * np.log(p / q)
    exact = kl_normal(mean_p, scale_p, mean_q, scale_q)
    numbers["kl/closed_form"], numbers["kl/area"] = exact, float(np.trapezoid(integrand, x))
    numbers["kl/other_way_round"] = kl_normal(mean_q, scale_q, mean_p, scale_p)
    figure, axes = chart(1, 2, width=10, height=3.7)
    axes[0].plot(x, p, color=PALETTE[0], label=r"$p$, mean 0, deviation 1")
    axes[0].plot(x, q, color=PALETTE[1], label=r"$q$, mean 1.2, deviation 1.4")
    axes[0].set(xlabel="x", ylabel="density", title="Two normal densities", ylim=(0, 0.55))
    axes[0].legend(loc="upper right")
    axes[1].plot(x, integrand, color=INK, linewidth=1.1)
    for sign, colour in ((1, 2), (-1, 4)):
        axes[1].fill_between(x, np.where(sign * integrand > 0, integrand, 0), color=PALETTE[colour], alpha=0.35)
    axes[1].set(xlabel="x", ylabel="p ln(p / q)", title=f"KL(p, q): green minus red = {exact:.3f} nats")
    for plot in axes:
        plot.set_xlim(-4, 5.5)
    return figure


def _discriminator():
    """Goodfellow et al. 2014, figure 1: what the best discriminator says while the generator draws near."""
    x = np.linspace(-4, 6, 401)
    real = _normal(x, 1, 1)
    figure, axes = chart(1, 4, width=12, height=3.1, sharey=True)
    for plot, (mean, scale), title in zip(
        axes, ((-2, 0.6), (-0.8, 0.8), (0.4, 0.9), (1, 1)), ("Early", "Later", "Nearly done", "Done"), strict=True
    ):
        fake = _normal(x, mean, scale)
        plot.plot(x, real, color=PALETTE[0], label="real density p")
        plot.plot(x, fake, color=PALETTE[1], label="generated density q")
        plot.plot(x, real / (real + fake), color=INK, linestyle=":", label="best discriminator, p / (p + q)")
        plot.set(xlabel="x", title=title, ylim=(0, 1.05))
    axes[0].set_ylabel("density, probability")
    legend_outside(axes[0], 3)
    return figure


def _earth_mover(numbers: dict[str, float]):
    p, q = np.array([3, 2, 1, 4, 0, 0.0]), np.array([0, 1, 1, 2, 3, 3.0])
    plan = transport_plan(p, q)
    places = np.arange(len(p))
    numbers["earth_mover/distance"] = earth_movers_distance(p, q)
    numbers["earth_mover/cost_of_the_plan"] = float((plan * np.abs(places[:, None] - places)).sum())
    figure, axes = chart(1, 3, width=11, height=3.5)
    axes[0].bar(places - 0.2, p, 0.38, color=PALETTE[0], label="is")
    axes[0].bar(places + 0.2, q, 0.38, color=PALETTE[1], label="is to be")
    axes[0].set(xlabel="place", ylabel="mass", title="Two heaps of ten")
    axes[0].legend(loc="upper center", ncols=2)
    axes[0].set_ylim(0, 5)
    axes[1].imshow(plan, cmap="Blues", vmax=5)
    for (i, j), mass in np.ndenumerate(plan):
        if mass:
            axes[1].text(j, i, f"{mass:g}", ha="center", va="center")
    axes[1].set(xlabel="to", ylabel="from", title=f"Plan: mass times way = {numbers['earth_mover/cost_of_the_plan']:g}")
    axes[1].grid(False)
    edges = np.arange(len(p) + 1) - 0.5
    sums = [np.cumsum(mass) for mass in (p, q)]
    for i, total in enumerate(sums):
        axes[2].stairs(total, edges, color=PALETTE[i], linewidth=1.6)
    axes[2].stairs(sums[0], edges, baseline=sums[1], fill=True, color=PALETTE[2], alpha=0.3)
    axes[2].set(
        xlabel="place", ylabel="mass so far", title=f"Area between the sums = {numbers['earth_mover/distance']:g}"
    )
    return figure


def _cycles():
    """The two halves of a cycle-consistent pair of generators, and of BicycleGAN."""
    figure, axes = chart(2, 2, width=11, height=4.6)
    for plot, (a, b), names in (
        (axes[0], ("real A", "fake B"), ("G: A to B", "F: B to A")),
        (axes[1], ("real B", "fake A"), ("F: B to A", "G: A to B")),
    ):
        boxes = {
            a: (0.0, 1.0),
            b: (2.4, 1.0),
            f"{a.split()[1]} again": (4.8, 1.0),
            f"discriminator {b[-1]}": (2.4, 0.0),
        }
        arrows = [
            (a, b, names[0]),
            (b, f"{a.split()[1]} again", names[1]),
            (b, f"discriminator {b[-1]}", ""),
            (f"{a.split()[1]} again", a, "cycle loss: |difference|", 0.35),
        ]
        draw_blocks(plot, boxes, arrows, title=f"Cycle from {a[-1]}")
        plot.set_ylim(-0.4, 2.4)
    image_first = {
        "B": (0.0, 1.0),
        "encoder": (1.7, 1.0),
        "z": (3.1, 1.0),
        "generator": (4.7, 1.0),
        "B again": (6.6, 1.0),
        "A": (4.7, 0.0),
    }
    latent_first = {
        "z from N(0, 1)": (0.0, 1.0),
        "generator": (2.0, 1.0),
        "fake B": (3.8, 1.0),
        "encoder": (5.4, 1.0),
        "z again": (7.0, 1.0),
        "A": (2.0, 0.0),
    }
    for plot, boxes, title in (
        (axes[2], image_first, "BicycleGAN, image first: |B - B again|, KL of z"),
        (axes[3], latent_first, "BicycleGAN, latent first: |z - z again|"),
    ):
        chain = list(boxes)[:-1]
        arrows = [(start, end, "") for start, end in pairwise(chain)] + [("A", "generator", "")]
        draw_blocks(plot, boxes, arrows, title=title, colour=2)
    return figure
