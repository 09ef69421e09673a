"""A study of the parts that networks are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.registry import Findings, Study, register
from gdl_jax.data.source import DataSettings, load
from gdl_jax.data.transforms import to_uint8
from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.losses.classification import softmax_cross_entropy
from gdl_jax.losses.likelihood import bernoulli_nll
from gdl_jax.networks.summary import count
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside, strips
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.minimize import minimize
from gdl_jax.steps.random import stream_key

ACTIVATIONS = {
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
    "ReLU": nn.relu,
    "leaky ReLU, 0.3": lambda x: nn.leaky_relu(x, 0.3),
    "ELU": nn.elu,
    "softplus": nn.softplus,
}


@register(
    "toolkit",
    paper="Ioffe, Szegedy 2015; Srivastava et al. 2014; Kingma, Ba 2015; texts: Foster, chapter 2, Valle, chapter 1",
    systems=("F07", "LA01", "S03"),
)
@dataclass(frozen=True, kw_only=True)
class Toolkit(Study):
    """The parts of networks: activations, losses, batch normalisation, dropout, layers, optimisers; showing images.

        python -m experiments.run toolkit

    Shows activations with their slopes, losses by what is predicted, what batch normalisation and dropout do to a
    batch, the ways of four optimisers down a narrow valley, and what becomes of an image in [-1, 1] that a viewer takes
    to be in [0, 1]. Prints what each of them has to be: mean 0 and variance 1 after batch normalisation, an unchanged
    mean after dropout, the numbers of parameters of layers, losses, levels of grey.

    The text explains batch normalisation by internal covariate shift, which later work disputes; it says that a moving
    deviation is kept, and it is the variance. Where the texts write cross-entropy for one label, the minus sign is
    missing. One text's viewer cuts outputs of tanh at 0, so that its samples look darker than they are.
    """

    dropout_rate: float = 0.25
    """Share of the units that dropout sets to zero."""
    steps: int = 200
    """Of the optimisers."""
    seed: int = 0
    """Of the batch and of dropout."""

    positive: ClassVar[tuple[str, ...]] = ("steps",)
    limits: ClassVar[dict[str, tuple[float, float]]] = {"dropout_rate": (0, 0.99)}

    def run(self) -> Findings:
        """See `Study`."""
        layers, figure = self._layers()
        ways = self._optimizers()
        numbers = layers | _parameters() | _losses() | _levels()
        numbers |= {f"optimizer/{name}/loss": float(_valley(way[-1])) for name, way in ways.items()}
        text = (
            "A ReLU's slope is 0 for all that is negative, a leaky one's never. Squared error grows fastest far away, "
            "absolute error alike everywhere, cross-entropy without bound where a wrong answer is certain.\n"
            "Down the valley plain descent crosses from side to side; RMSprop and Adam take equal steps along both "
            "axes."
        )
        figures = {
            "activations": _activations(),
            "losses": _loss_curves(),
            "layers": figure,
            "optimizers": _ways(ways),
            "viewing": _viewing(),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _layers(self):
        key = stream_key(self.seed, "toolkit")
        rate = self.dropout_rate

        @jax.jit
        def work():
            batch = 3 + jnp.array([[0.5, 2.0]]) * jax.random.normal(key, (2000, 2))
            norm = BatchNorm()
            normed, _ = norm.apply(norm.init(key, batch, train=True), batch, train=True, mutable=["batch_stats"])
            ones = jnp.ones((1000, 100))
            dropped = nn.Dropout(rate, deterministic=False).apply({}, ones, rngs={"dropout": key})
            return batch, normed, dropped

        batch, normed, dropped = jax.device_get(work())
        numbers = {
            "batch_norm/largest_mean": float(np.abs(normed.mean(axis=0)).max()),
            "batch_norm/least_variance": float(normed.var(axis=0).min()),
            "dropout/zero": float((dropped == 0).mean()),
            "dropout/mean": float(dropped.mean()),
        }
        figure, axes = chart(1, 3, width=11, height=4)
        for plot, points, name in zip(axes, (batch, normed), ("A batch", "After batch normalisation"), strict=False):
            plot.scatter(*points.T, s=4, color=PALETTE[0], alpha=0.4, rasterized=True)
            plot.set(
                xlabel="first unit", ylabel="second unit", title=name, xlim=(-4, 10), ylim=(-4, 10), aspect="equal"
            )
        axes[2].imshow(dropped[:20, :20], cmap="Blues", vmin=0, vmax=2)
        axes[2].set(xlabel="unit", ylabel="example", title=f"Dropout of ones: 0 or {1 / (1 - rate):.2f}")
        axes[2].set(xticks=range(0, 20, 5), yticks=range(0, 20, 5))
        axes[2].grid(False)
        return numbers, figure

    def _optimizers(self) -> dict:
        rules = {
            "gradient descent": optax.sgd(0.095),
            "momentum 0.9": optax.sgd(0.02, 0.9),
            "RMSprop": optax.rmsprop(0.05, decay=0.9, eps=1e-7, eps_in_sqrt=False),
            "Adam": optax.adam(0.15),
        }
        start = jnp.array([-4.0, 1.5])

        @jax.jit
        def work():
            found = {
                name: minimize(lambda p, _: _valley(p), start, rule, self.steps, lambda p: p)
                for name, rule in rules.items()
            }
            return {name: jnp.concatenate([way.kept, way.params[None]]) for name, way in found.items()}

        return jax.device_get(work())


def _valley(point):
    """A quadratic twenty times as steep across as along."""
    return 0.5 * (point[..., 0] ** 2 + 20 * point[..., 1] ** 2)


def _parameters() -> dict[str, float]:
    """Counted on the layers; by formula (in + 1) out and (k k in + 1) out."""
    key = jax.random.key(0)
    dense = jax.eval_shape(nn.Dense(10).init, key, jnp.zeros((1, 3072)))
    conv = jax.eval_shape(Conv(10, (4, 4), strides=2).init, key, jnp.zeros((1, 32, 32, 3)))
    norm = jax.eval_shape(lambda: BatchNorm().init(key, jnp.zeros((1, 32)), train=False))
    return {
        "parameters/dense_3072_to_10": float(count(dense["params"])),
        "parameters/conv_4x4_of_3_to_10": float(count(conv["params"])),
        "parameters/batch_norm_of_32": float(count(norm["params"])),
        "parameters/batch_norm_of_32_running": float(count(norm["batch_stats"])),
    }


def _losses() -> dict[str, float]:
    """Of the outputs (0.2, 0.7, 0.1) for the second class."""
    wanted, given = jnp.array([0.0, 1.0, 0.0]), jnp.array([0.2, 0.7, 0.1])
    return {
        "loss/mean_squared_error": float(jnp.square(wanted - given).mean()),
        "loss/mean_absolute_error": float(jnp.abs(wanted - given).mean()),
        "loss/categorical_cross_entropy": float(softmax_cross_entropy(jnp.log(given)[None], jnp.array([1]))[0]),
        "loss/binary_cross_entropy": float(bernoulli_nll(jax.scipy.special.logit(given)[None], wanted[None])[0] / 3),
    }


def _activations():
    x = jnp.linspace(-5, 5, 201)
    figure, axes = chart(1, 2, width=10, height=4)
    for i, (name, activation) in enumerate(ACTIVATIONS.items()):
        slopes = jax.jit(jax.vmap(jax.grad(activation)))(x)
        for plot, values in zip(axes, (activation(x), slopes), strict=True):
            plot.plot(x, values, color=PALETTE[i], label=name)
    axes[0].set(xlabel="x", ylabel="activation", ylim=(-2, 3), title="Activations")
    axes[1].set(xlabel="x", ylabel="slope", title="Their slopes")
    legend_outside(axes[0], 6)
    return figure


def _loss_curves():
    error, chance = np.linspace(-2, 2, 201), np.linspace(0.005, 0.995, 199)
    figure, axes = chart(1, 2, width=10, height=3.8)
    axes[0].plot(error, error**2, color=PALETTE[0], label="squared error")
    axes[0].plot(error, np.abs(error), color=PALETTE[1], label="absolute error")
    axes[0].set(xlabel="prediction minus target", ylabel="loss", title="Of numbers")
    axes[1].plot(chance, -np.log(chance), color=PALETTE[2], label="cross-entropy")
    axes[1].plot(chance, (1 - chance) ** 2, color=PALETTE[0], linestyle="--", label="squared error")
    axes[1].set(xlabel="probability given to the right class", ylabel="loss (cross-entropy: nats)", title="Of classes")
    for plot in axes:
        plot.legend(loc="upper center")
    return figure


def _ways(ways: dict):
    x, y = np.meshgrid(np.linspace(-4.6, 1.2, 120), np.linspace(-1.9, 1.9, 100))
    height = _valley(np.stack([x, y], axis=-1))
    figure, axes = chart(1, 2, width=11, height=3.9, width_ratios=(1.6, 1))
    axes[0].contour(x, y, height, levels=np.geomspace(0.05, 45, 12), colors=SOFT, linewidths=0.5)
    for i, (name, way) in enumerate(ways.items()):
        axes[0].plot(*way[:40].T, color=PALETTE[i], marker="o", markersize=2.5, linewidth=1.1, label=name)
        axes[1].plot(np.maximum(_valley(way), 1e-12), color=PALETTE[i])
    axes[0].scatter(0, 0, marker="+", s=80, color=INK, zorder=3)
    axes[0].set(xlabel="first parameter", ylabel="second parameter", title="The first 40 steps in a valley")
    axes[1].set(xlabel="step", ylabel="loss", yscale="log", title="Their losses")
    legend_outside(axes[0], 4)
    return figure


def _levels() -> dict[str, float]:
    """Of 255, what the outputs -1, 0 and 1 of a tanh are shown as."""
    shown = to_uint8(np.array([-1.0, 0.0, 1.0]), (-1, 1))
    return {f"viewing/level_of_{value}": float(level) for value, level in zip((-1, 0, 1), shown, strict=True)}


def _viewing():
    source = load(DataSettings(name="shapes", size=32, num_examples=10), "train")
    images = source.take(np.arange(10))["image"].astype(np.float32) / 127.5 - 1
    low, high = images.min(), images.max()
    return strips(
        {
            "Images in [-1, 1], shown by (x + 1) / 2": to_uint8(images, (-1, 1)),
            "Cut to [0, 1] instead: what is darker than the middle is black": to_uint8(images, (0, 1)),
            "At half the contrast, shown by (x + 1) / 2": to_uint8(0.5 * images, (-1, 1)),
            "At half the contrast, stretched from least to largest": to_uint8(0.5 * images, (0.5 * low, 0.5 * high)),
        }
    )
