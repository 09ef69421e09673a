"""A study of Lipschitz functions, and of what keeps a critic one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from experiments.studies.compiling import quick_jit
from experiments.studies.gaussian_gans import Mixture, extent, logits_on, point_gan, start, update
from gdl_jax.losses.adversarial import wasserstein
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.metrics.lipschitz import steepness
from gdl_jax.metrics.modes import ring
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.pictures.charts import INK, SOFT, chart
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

FUNCTIONS = {"sin x": (np.sin, np.cos), "x^2 / 2": (lambda x: x**2 / 2, lambda x: x)}
"""A function that is 1-Lipschitz, one that is not for |x| > 1 and for no constant on the whole line; and their slopes.
"""

CRITICS: dict[str, dict] = {
    "clipped at 0.01": {"weight_limit": 0.01},
    "clipped at 0.1": {"weight_limit": 0.1},
    "gradient penalty": {"regularisers": (Regulariser(penalty=gradient_penalty, weight=10.0),)},
    "spectral norm": {"spectral": True},
}

REAL = Mixture(ring(), 0.05)
BATCH_SIZE = 128


@register(
    "lipschitz",
    paper="Gulrajani et al. 2017, arXiv:1704.00028, section 3.1; Foster, Generative Deep Learning, chapter 4",
    systems=("F26", "L7.6", "L7.8"),
)
@dataclass(frozen=True, kw_only=True)
class Lipschitz(Study):
    """What 1-Lipschitz means, and how steep critics become whose weights are clipped, normalised, or penalised.

        python -m experiments.run lipschitz

    Shows a curve that never enters a double cone of slope 1 at any of its points, and one that does; and critics
    between eight Gaussians and one Gaussian in their middle: level lines, and slopes at points between the two. Prints
    the slopes and the largest ratio |f(x) - f(y)| / |x - y| of pairs.

    Clipping bounds the slope by chance: the critic is far too flat with one limit, and its slope is set by the next.
    With the penalty slopes come near 1 where it looks; spectral norm keeps every layer from stretching.

    Differences and slopes are Euclidean. A text measures pixels by absolute differences, which do not belong to the
    norm of its gradient; another has it that x^2 needs a larger constant: on the whole line there is none.
    """

    steps: int = 400
    """Updates of each critic."""
    seed: int = 0
    """Of the first weights, and of all draws."""

    positive: ClassVar[tuple[str, ...]] = ("steps",)

    def run(self) -> Findings:
        """See `Study`."""
        x = np.linspace(-4, 4, 801)
        numbers = {}
        for name, (function, slope) in FUNCTIONS.items():
            numbers[f"{name}/steepest"] = float(np.abs(slope(x)).max())
            rises = np.abs(np.diff(function(x))) / np.diff(x)
            numbers[f"{name}/largest_ratio"] = float(rises.max())
        found = {name: self._critic(point_gan(wasserstein(), **options)) for name, options in CRITICS.items()}
        for name, (_, slopes, largest, distance) in found.items():
            numbers[f"{name}/slope_between"] = float(slopes.mean())
            numbers[f"{name}/slope_between_at_most"] = float(slopes.max())
            numbers[f"{name}/largest"] = float(largest)
            numbers[f"{name}/difference_of_means"] = float(distance)
        text = "Mean slope between real and generated points: " + ", ".join(
            f"{numbers[f'{name}/slope_between']:.3f} ({name})" for name in CRITICS
        )
        return Findings(numbers=numbers, figures={"cones": _cones(x), "critics": _critics(found)}, text=text + ".")

    def _critic(self, model: GAN) -> tuple:
        """Logits on the plane, slopes between the two kinds of points, the largest of all, difference of the means."""
        key = stream_key(self.seed, "lipschitz")

        @quick_jit
        def work():
            state = start(model, key, BATCH_SIZE)

            def step(state, number):
                k_step = jax.random.fold_in(key, number)
                return update(model, state, slice(0, 1), REAL.draw, k_step, batch_size=BATCH_SIZE), None

            state = jax.lax.scan(step, state, jnp.arange(self.steps))[0]
            variables = state.networks["discriminator"].variables()

            def critic(points):
                return model.discriminator.apply(variables, points, train=False)

            real, fake = REAL.draw(jax.random.fold_in(key, 0), 500), model.sample(state, key, 500)
            steep = steepness(critic, real, fake, key)
            apart = critic(real).mean() - critic(fake).mean()
            return logits_on(model, state, extent(REAL)), steep.between, steep.largest(), apart

        return jax.device_get(work())


def _cones(x: Float[np.ndarray, " points"]):
    figure, axes = chart(1, 2, width=9, height=3.4)
    for plot, (name, (function, _)) in zip(axes, FUNCTIONS.items(), strict=True):
        place = 2.0
        height = function(place)
        inside = np.abs(function(x) - height) > np.abs(x - place) + 1e-9
        plot.fill_between(x, height + np.abs(x - place), 9, color=SOFT, alpha=0.12, linewidth=0)
        plot.fill_between(x, -9, height - np.abs(x - place), color=SOFT, alpha=0.12, linewidth=0)
        plot.plot(x, function(x), color=PALETTE[0])
        plot.plot(np.where(inside, x, np.nan), np.where(inside, function(x), np.nan), color=PALETTE[1], linewidth=2.6)
        plot.scatter([place], [height], color=INK, s=22, zorder=3)
        kind = "enters its cones" if inside.any() else "stays out of the cones of slope 1"
        plot.set(title=f"{name} {kind}", xlim=(-4, 4), ylim=(-4, 6), xlabel="x")
    return figure


def _critics(found: dict[str, tuple]):
    half = extent(REAL)
    figure, axes = chart(2, len(found), width=12, height=5.6)
    for i, (name, (logits, slopes, _, _)) in enumerate(found.items()):
        side = int(np.sqrt(len(logits)))
        axis = np.linspace(-half, half, side)
        lines = axes[i].contourf(axis, axis, logits.reshape(side, side), levels=12, cmap="viridis")
        figure.colorbar(lines, ax=axes[i], shrink=0.8)
        axes[i].scatter(*REAL.centres.T, s=16, marker="+", color="white")
        axes[i].set(title=name.capitalize(), aspect="equal", xticks=[], yticks=[])
        axes[i].grid(False)
        limit = max(1.5, 1.1 * float(slopes.max()))
        axes[len(found) + i].hist(slopes, bins=np.linspace(0, limit, 40), color=PALETTE[0])
        axes[len(found) + i].axvline(1, color=INK, linestyle=":", linewidth=1.2)
        axes[len(found) + i].set(xlabel="slope at points between", xlim=(0, limit))
    return figure
