"""A study of the ways in which GANs fail: no slope, no overlap, no variety."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from experiments.studies.compiling import quick_jit
from experiments.studies.gaussian_gans import Mixture, extent, plane, point_gan, start, train, update
from gdl_jax.losses.adversarial import minimax, non_saturating, three_sources
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.penalties import gradient_penalty, r1
from gdl_jax.metrics.modes import mixture_coverage, ring
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.networks.dense_gan import DenseDiscriminator
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.augmentation import instance_noise
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState

BATCH = 128
RING = Mixture(ring(), 0.05)
OTHERS = ring(radius=3.5)
"""Where data lie that are real and not wanted."""
FAR = {"real": Mixture(np.array([[-1.5, 0.0]]), 0.15), "fake": Mixture(np.array([[1.5, 0.0]]), 0.15)}
"""Two Gaussians that nowhere overlap."""

REMEDIES = {
    "as they are": (1.0, 0.0, 0.0),
    "5 % of the labels wrong": (1.0, 0.05, 0.0),
    "real labels 0.9": (0.9, 0.0, 0.0),
    "instance noise": (1.0, 0.0, 1.0),
}
"""Label of real points, share of wrong labels, deviation of the noise on all points."""

BLOCK, FROZEN_AFTER = 100, (0, 100, 1000)
"""Steps of the generator before it is frozen, and what divides them."""


def bounded_gan() -> GAN:
    """A GAN whose points stay in sight, however far its generator would go."""
    model = point_gan(non_saturating())
    return replace(model, generator=model.generator.clone(output=lambda x: 3 * jnp.tanh(x)))


def penalised_gan() -> GAN:
    """The same, of which both players come to rest: R1 on the discriminator's slope."""
    return replace(bounded_gan(), regularisers=(Regulariser(penalty=r1, weight=0.1),))


def objectives(shift: float) -> dict[str, float]:
    """For N(0, 1) and a generator of N(shift, 1): divergences, and slopes of its losses by the shift.

    The discriminator is the best one, with logit l(x) = shift^2 / 2 - shift x, and held fixed.
    """
    x = np.linspace(-10, 10 + shift, 8001)
    width = x[1] - x[0]
    real, fake = (np.exp(-np.square(x - m) / 2) / np.sqrt(2 * np.pi) for m in (0, shift))
    logit = shift**2 / 2 - shift * x
    judged = 1 / (1 + np.exp(-logit))
    softplus = np.logaddexp
    value = -(real * softplus(0, -logit) + fake * softplus(0, logit)).sum() * width
    return {
        "jensen_shannon": float(value / 2 + np.log(2)),
        "minimax": float((fake * judged).sum() * width * shift),
        "non_saturating": float((fake * (1 - judged)).sum() * width * shift),
        "wasserstein": 1.0,
    }


@register(
    "gan_failures",
    paper="Arjovsky, Bottou 2017, arXiv:1701.04862; Sonderby et al. 2017, arXiv:1610.04490",
    systems=("S30", "S34", "F22", "LA18", "S16", "S20"),
)
@dataclass(frozen=True, kw_only=True)
class GANFailures(Study):
    """How GANs fail: slopes that vanish, distributions that nowhere overlap, a generator that always draws the same.

        python -m experiments.run gan_failures

    Shows the slopes of the generator's losses between two Gaussians on a line as they move apart; a discriminator
    between two that are far apart, with the usual remedies; the slope of a frozen generator's losses while a new
    discriminator learns; a generator that takes fifty steps for one of the discriminator; and a critic of few wanted
    data with and without other real data that it is to reject. Prints all of it as numbers.

    Wrong labels and smoothing bound the discriminator's logits, and do not make the two overlap; noise on real and
    generated points does.
    """

    steps: int = 400
    """Updates of the discriminators."""
    rounds: int = 20
    """Of fifty steps of the generator and one of the discriminator."""
    seed: int = 0
    """Of the first weights, and of all draws."""

    positive: ClassVar[tuple[str, ...]] = ("steps", "rounds")

    def run(self) -> Findings:
        """See `Study`."""
        key = stream_key(self.seed, "gan failures")
        shifts = np.linspace(0.05, 8, 60)
        curves = {name: np.array([objectives(m)[name] for m in shifts]) for name in objectives(1.0)}
        far = self._far(key)
        trained, slopes = self._frozen(key)
        drawn = self._collapse(key, trained)
        scarce = self._scarce(key)
        numbers = {f"objectives/{name}_at_shift_8": float(values[-1]) for name, values in curves.items()}
        for name, (_, minimax_slope, largest) in far.items():
            numbers[f"far apart, {name}/slope_of_minimax"] = float(minimax_slope)
            numbers[f"far apart, {name}/largest_logit"] = float(largest)
        for i, after in enumerate(FROZEN_AFTER):
            for j, loss in enumerate(("minimax", "non_saturating")):
                numbers[f"frozen after {after}/{loss}_at_first"] = float(slopes[i, 0, j])
                numbers[f"frozen after {after}/{loss}_at_last"] = float(slopes[i, -1, j])
        for name, points in drawn.items():
            numbers[f"{name}/covered_modes"] = float(mixture_coverage(points, RING.centres, RING.deviation).captured)
            numbers[f"{name}/mean_distance_of_pairs"] = pair_distance(points)
        for name, (_, share) in scarce.items():
            numbers[f"few data, {name}/other_data_taken_for_wanted"] = float(share)
        text = (
            f"At a distance of 8 the slope of the minimax loss is {curves['minimax'][-1]:.1e}, that of -log D "
            f"{curves['non_saturating'][-1]:.1f}. Fifty steps of the generator for one of the discriminator: pairs of "
            f"its points are {numbers['fifty to one/mean_distance_of_pairs']:.2f} apart, "
            f"{numbers['one to one/mean_distance_of_pairs']:.2f} with one to one, "
            f"{numbers['data/mean_distance_of_pairs']:.2f} in the data."
        )
        figures = {
            "objectives": _objectives(shifts, curves),
            "far_apart": _far_figure(far),
            "frozen": _frozen_figure(slopes),
            "collapse": _collapse_figure(drawn),
            "few_data": _scarce_figure(scarce),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _far(self, key: Array) -> dict[str, tuple]:
        """Logits on the plane, the mean slope of the minimax loss at generated points, the largest logit of data."""
        model = point_gan(non_saturating())
        discriminator, optimizer = model.discriminator, model.optimizers["discriminator"]

        def work(remedy: Float[Array, " 3"]) -> tuple[Array, Array, Array]:
            label, flip, deviation = remedy
            labels, view = Labels(real=(label, label), flip=flip), instance_noise(lambda step: deviation)
            state = start(model, key, BATCH).networks["discriminator"]

            def step(carry, number):
                params, opt_state = carry
                k = jax.random.fold_in(key, number)
                keys = [jax.random.fold_in(k, i) for i in range(4)]
                points = [FAR[kind].draw(k, BATCH) for kind, k in zip(FAR, keys, strict=False)]
                seen = [view(x, k, number) for x, k in zip(points, keys[2:], strict=True)]

                def loss(params):
                    on = (discriminator.apply({"params": params}, x, train=True) for x in seen)
                    return labels.discriminator_loss(model.loss, *on, k, number)

                with jax.numpy_dtype_promotion("standard"):
                    change, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
                return (optax.apply_updates(params, change), opt_state), None

            (params, _), _ = jax.lax.scan(step, (state.params, state.opt_state), jnp.arange(self.steps))
            real, fake = (FAR[kind].draw(key, 500) for kind in FAR)

            def judge(x):
                return discriminator.apply({"params": params}, x, train=False)

            slopes = jax.grad(lambda x: 500 * minimax().generator(judge(x), judge(x)))(fake)
            slope = jnp.sqrt(jnp.square(slopes).sum(axis=(1, 2, 3))).mean()
            return judge(jnp.asarray(plane(3.0)).reshape(-1, 1, 2, 1)), slope, jnp.abs(judge(real)).max()

        found = jax.device_get(quick_jit(jax.vmap(work))(jnp.array(list(REMEDIES.values()))))
        return {name: tuple(part[i] for part in found) for i, name in enumerate(REMEDIES)}

    def _frozen(self, key: Array) -> tuple[TrainState, Float[np.ndarray, "ages steps 2"]]:
        """A trained GAN, and the norms of its losses' gradients at several ages while new discriminators learn."""
        model, penalised = bounded_gan(), penalised_gan()

        def work():
            first = start(model, key, BATCH)

            def block(state, number):
                k = jax.random.fold_in(key, number)
                state, _ = train(penalised, state, RING.draw, k, BLOCK, batch_size=BATCH)
                return state, state

            last, later = jax.lax.scan(block, first, jnp.arange(FROZEN_AFTER[-1] // BLOCK))
            every = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
            chosen = jax.tree.map(lambda x: x[np.array(FROZEN_AFTER) // BLOCK], every)
            fresh = start(model, jax.random.fold_in(key, 1), BATCH).networks["discriminator"]

            def look(state):
                state = state.replace(networks=state.networks | {"discriminator": fresh})
                keys = jax.random.split(key, self.steps)
                return jax.lax.scan(lambda s, k: self._look(model, s, k), state, keys)[1]

            return last, jax.vmap(look)(chosen)

        return jax.device_get(quick_jit(work)())

    def _look(self, model: GAN, state: TrainState, key: Array) -> tuple[TrainState, Float[Array, " 2"]]:
        """One update of the discriminator, and before it the gradient's norm of both losses of the generator."""
        latents = model.sample_latents(key, BATCH)
        judge = state.networks["discriminator"].variables()

        def norm(loss):
            def of(params):
                fake = model.generator.apply({"params": params}, latents, train=True)
                logits = model.discriminator.apply(judge, fake, train=False)
                return loss.generator(logits, logits)

            return optax.tree.norm(jax.grad(of)(state.networks["generator"].params))

        norms = jnp.stack([norm(minimax()), norm(non_saturating())])
        return update(model, state, slice(0, 1), RING.draw, key, batch_size=BATCH), norms

    def _collapse(self, key: Array, trained: TrainState) -> dict[str, Float[np.ndarray, "num 2"]]:
        model = penalised_gan()

        @quick_jit
        def work(trained):
            def step(state, number):
                k = jax.random.fold_in(key, number)
                state = update(model, state, slice(0, 1), RING.draw, k, batch_size=BATCH)

                def follow(state, i):
                    k_follow = jax.random.fold_in(k, i)
                    return update(model, state, slice(1, 2), RING.draw, k_follow, batch_size=BATCH), None

                return jax.lax.scan(follow, state, jnp.arange(50))[0], None

            collapsed = jax.lax.scan(step, start(model, key, BATCH), jnp.arange(self.rounds))[0]
            return RING.draw(key, 1000), model.sample(trained, key, 1000), model.sample(collapsed, key, 1000)

        names = ("data", "one to one", "fifty to one")
        return {
            name: points.reshape(1000, 2) for name, points in zip(names, jax.device_get(work(trained)), strict=True)
        }

    def _scarce(self, key: Array) -> dict[str, tuple]:
        """Logits on the plane, and the share of the data that are not wanted above the median of the wanted ones."""
        wanted, others = Mixture(RING.centres, 0.15), Mixture(OTHERS, 0.15)
        few = wanted.draw(key, 16)
        discriminator = DenseDiscriminator((64, 64))
        adam = optax.adam(1e-3, b1=0.5, b2=0.9)

        def descend(fake_weight: Array) -> tuple[Array, Array]:
            params = discriminator.init(key, few, train=False)["params"]

            def step(carry, number):
                params, state = carry
                k_other, k_fake, k_between = jax.random.split(jax.random.fold_in(key, number), 3)
                other, fake = others.draw(k_other, 16), jax.random.normal(k_fake, few.shape) * 1.2

                def loss(params):
                    def judge(x):
                        return discriminator.apply({"params": params}, x, train=True)

                    penalty = gradient_penalty(judge, few, fake, k_between)
                    kinds = judge(few), judge(other), judge(fake)
                    return three_sources(*kinds, fake_weight=fake_weight) + 10 * penalty

                with jax.numpy_dtype_promotion("standard"):
                    change, state = adam.update(jax.grad(loss)(params), state)
                return (optax.apply_updates(params, change), state), None

            (last, _), _ = jax.lax.scan(step, (params, adam.init(params)), jnp.arange(self.steps))

            def judge(x):
                return discriminator.apply({"params": last}, x, train=False)

            share = (judge(others.draw(key, 500)) > jnp.median(judge(wanted.draw(key, 500)))).mean()
            return judge(jnp.asarray(plane(4.5)).reshape(-1, 1, 2, 1)), share

        weights = {"alone": 1.0, "other data rejected": 0.5}
        found = jax.device_get(quick_jit(jax.vmap(descend))(jnp.array(list(weights.values()))))
        return {name: tuple(part[i] for part in found) for i, name in enumerate(weights)}


def pair_distance(points: Float[np.ndarray, "num 2"]) -> float:
    """The mean distance of two of the points."""
    return float(np.linalg.norm(points[:, None] - points[None], axis=2).mean())


def _objectives(shifts, curves):
    figure, axes = chart(1, 2, width=9, height=3.5)
    axes[0].plot(shifts, curves["jensen_shannon"], color=INK)
    axes[0].axhline(np.log(2), color=SOFT, linestyle=":", linewidth=1)
    axes[0].set(title="Jensen-Shannon divergence, at most ln 2", xlabel="distance of the two Gaussians")
    for i, name in enumerate(("minimax", "non_saturating", "wasserstein")):
        axes[1].plot(shifts, curves[name], color=PALETTE[i], label=name.replace("_", "-"))
    axes[1].set(title="Slope of the generator's loss", xlabel="distance of the two Gaussians", yscale="log")
    legend_outside(axes[1], 3)
    return figure


def _contours(plot, logits, half: float):
    side = int(np.sqrt(len(logits)))
    axis = np.linspace(-half, half, side)
    shown = plot.contourf(axis, axis, logits.reshape(side, side), levels=12, cmap="viridis")
    plot.figure.colorbar(shown, ax=plot, shrink=0.8, label="logit")
    plot.set(aspect="equal", xticks=[], yticks=[])
    plot.grid(False)


def _far_figure(far):
    figure, axes = chart(1, len(far), width=13, height=3.6)
    for plot, (name, (logits, slope, _)) in zip(axes, far.items(), strict=True):
        _contours(plot, logits, 3.0)
        for i, (kind, mixture) in enumerate(FAR.items()):
            label = {"real": "real points", "fake": "generated points"}[kind]
            plot.scatter(*mixture.centres.T, s=60, color=PALETTE[i], edgecolor="white", label=label)
        plot.set_title(f"{name.capitalize()}\nslope of minimax {slope:.1e}")
    legend_outside(axes[0], 2)
    return figure


def _frozen_figure(slopes):
    figure, axes = chart(1, 2, width=9, height=3.5)
    for j, (plot, name) in enumerate(zip(axes, ("minimax", "non-saturating"), strict=True)):
        for i, after in enumerate(FROZEN_AFTER):
            plot.plot(np.arange(1, slopes.shape[1] + 1), slopes[i, :, j], color=PALETTE[i], linewidth=0.9,
                      label=f"generator after {after:,} steps")  # fmt: skip
        plot.set(title=f"Gradient of the {name} loss", xlabel="step of a new discriminator", yscale="log")
    legend_outside(axes[0], 3)
    return figure


def _collapse_figure(drawn):
    figure, axes = chart(1, len(drawn), width=9, height=3.3)
    half = extent(RING)
    for plot, (name, points) in zip(axes, drawn.items(), strict=True):
        plot.scatter(*points.T, s=3, color=PALETTE[1], alpha=0.5, linewidths=0, label="drawn")
        plot.scatter(*RING.centres.T, s=22, marker="+", color=INK, linewidths=0.9, label="mode of the data")
        plot.set(title=name.capitalize(), xlim=(-half, half), ylim=(-half, half), aspect="equal")
    legend_outside(axes[0], 2)
    return figure


def _scarce_figure(scarce):
    figure, axes = chart(1, len(scarce), width=8, height=3.4)
    for plot, (name, (logits, _)) in zip(axes, scarce.items(), strict=True):
        _contours(plot, logits, 4.5)
        plot.scatter(*RING.centres.T, s=40, color=PALETTE[0], edgecolor="white", label="wanted")
        plot.scatter(*OTHERS.T, s=40, color=PALETTE[1], edgecolor="white", label="other data")
        plot.set_title(f"Critic of few data, {name}")
    legend_outside(axes[0], 2)
    return figure
