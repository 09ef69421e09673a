"""Studies of GANs on Gaussians in the plane, whose modes, densities and distances are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Key

from experiments.families.gan_parts import LOSSES, PENALTIES, Loss, PenaltyName
from experiments.registry import Findings, Study, register
from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.metrics.modes import MixtureCoverage, mixture_coverage, ring, square_grid
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.phases import run_phases
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState

LOOKS = 10
"""Times at which the samples of a training are looked at."""

Points = Float[np.ndarray, "num 2"]


class Mixture(NamedTuple):
    """Gaussians of equal weight and of one width."""

    centres: Float[np.ndarray, "modes 2"]
    deviation: float

    def draw(
        self, key: Key[Array, ""], num: int, weights: Float[Array, " modes"] | None = None
    ) -> Float[Array, "num 1 2 1"]:
        """Points, as images of one by two pixels; modes as often as their weights say, if there are any."""
        k_mode, k_noise = jax.random.split(key)
        if weights is None:
            modes = jax.random.randint(k_mode, (num,), 0, len(self.centres))
        else:
            modes = jax.random.categorical(k_mode, jnp.log(weights), shape=(num,))
        points = jnp.take(jnp.asarray(self.centres, jnp.float32), modes, axis=0)
        return (points + self.deviation * jax.random.normal(k_noise, points.shape)).reshape(num, 1, 2, 1)


MIXTURES = {"ring": Mixture(ring(), 0.02), "grid": Mixture(square_grid(), 0.05)}
"""Eight Gaussians on a circle of radius 2, and 25 on a square grid of spacing 2: Srivastava et al. 2017, sec. 4.1."""


def identity(x: Array) -> Array:
    """What a generator of points ends in."""
    return x


def point_gan(
    loss: AdversarialLoss, *, units: int = 64, latent_size: int = 8, learning_rate: float = 1e-3, **options: Any
) -> GAN:
    """A GAN of points in the plane, with three layers each.

    Args:
        loss: of the logits.
        units: of every hidden layer.
        latent_size: of the generator.
        learning_rate: of both players.
        options: of the model.
    """
    spectral = options.pop("spectral", False)
    minibatch_features = options.pop("minibatch_features", 0)
    adam = optax.adam(learning_rate, b1=0.5, b2=0.9)
    return GAN(
        generator=DenseGenerator((1, 2, 1), (units, units), activation=jax.nn.relu, output=identity),
        discriminator=DenseDiscriminator((units, units), spectral=spectral, minibatch_features=minibatch_features),
        optimizers={"generator": adam, "discriminator": adam},
        loss=loss,
        latent_size=latent_size,
        **options,
    )


def start(model: GAN, key: Key[Array, ""], batch_size: int) -> TrainState:
    """The state before the first step."""
    return model.init(key, {"image": jnp.zeros((batch_size, 1, 2, 1))})


def train(
    model: GAN,
    state: TrainState,
    draw: Callable[[Array, int], Array],
    key: Key[Array, ""],
    steps: int,
    *,
    batch_size: int,
) -> tuple[TrainState, dict[str, Float[Array, " {steps}"]]]:
    """So many steps in one loop, on points drawn anew in each, and every step's metrics."""

    def step(state: TrainState, number: Array) -> tuple[TrainState, dict[str, Array]]:
        k_data, k_step = jax.random.split(jax.random.fold_in(key, number))
        real = draw(k_data, model.batches_per_step * batch_size)
        batches = {"image": real.reshape(model.batches_per_step, batch_size, 1, 2, 1)}
        state, metrics = model.step(state, batches, k_step)
        return state, {name: mean.total / mean.count for name, mean in metrics.means.items()}

    # Optax raises a float to an int32 power.
    with jax.numpy_dtype_promotion("standard"):
        return jax.lax.scan(step, state, jnp.arange(steps))


def update(
    model: GAN,
    state: TrainState,
    phases: slice,
    draw: Callable[[Array, int], Array],
    key: Key[Array, ""],
    *,
    batch_size: int,
) -> TrainState:
    """Some phases of one step, on points drawn anew."""
    k_data, k_step = jax.random.split(key)
    with jax.numpy_dtype_promotion("standard"):
        batch = {"image": draw(k_data, batch_size)[None]}
        return run_phases(model.phases()[phases], model.optimizers, state, batch, k_step)[0]


@register(
    "gaussian_mixtures",
    paper="Srivastava et al. 2017, arXiv:1705.07761, section 4.1; Valle, Hands-On GANs with Keras, chapter 5",
    systems=("S24", "S30", "S35", "S38", "S41", "LA18"),
)
@dataclass(frozen=True, kw_only=True)
class GaussianMixtures(Study):
    """A GAN of any loss and penalty on Gaussians in the plane: how many modes it finds, and how well it hits them.

        python -m experiments.run gaussian_mixtures
        python -m experiments.run gaussian_mixtures --loss wasserstein --penalty gradient --discriminator-repeats 5
        python -m experiments.run gaussian_mixtures --mixture grid --loss hinge --penalty r1 --penalty-weight 0.1

    Several seeds are trained at once. Shows what one of them draws along the way, the discriminator's logits at the
    end, and the covered modes of every seed by step. A sample is good within three standard deviations of a mode; a
    mode is covered where a good sample is near it.

    `gaussian_mixtures --loss LOSS`, all else as it is (R1 of weight 0.1, one update of the discriminator for one of the
    generator; seed 0, means of two runs; 12 to 25 s of CPU each):

        loss                                  covered modes of 8    good samples
        hinge                                                8.0            65 %
        non_saturating                                       8.0            44 %
        minimax                                              8.0            43 %
        relativistic_average_hinge                           8.0            42 %
        relativistic_average                                 8.0            41 %
        relativistic_average_one_term                        8.0            38 %
        relativistic_average_least_squares                   7.5            44 %
        relativistic                                         7.5            40 %
        least_squares                                        7.0            62 %
        boundary_seeking                                     4.5            15 %
        wasserstein                                          0.0             0 %
        wasserstein, second command                          8.0            80 %
        non_saturating, --reweighted True                    7.5            54 %

    What the Wasserstein loss draws with one update of the critic turns about the middle and does not settle. With
    --mixture grid 3,000 steps are too few for any: of 25 modes non_saturating (reweighted or not) and least_squares
    cover 14.5, wasserstein with the second command 11.5, hinge 11.0, and 2 or 3 % of the samples are good.
    """

    mixture: Literal["ring", "grid"] = "ring"
    """Eight Gaussians on a circle, or 25 on a square grid."""
    loss: Loss = "non_saturating"
    """What the players descend."""
    penalty: PenaltyName = "r1"
    """On the discriminator's slope."""
    penalty_weight: float = 0.1
    """Of the penalty."""
    weight_limit: float | None = None
    """The discriminator's weights are clipped to it; None for no limit."""
    spectral: bool = False
    """Divide the discriminator's kernels by their largest singular values."""
    minibatch_features: int = 0
    """Numbers that tell the discriminator how alike the points of a batch are; 0 for none."""
    discriminator_repeats: int = 1
    """Updates of the discriminator in a step."""
    reweighted: bool = False
    """Draw the data's modes the more often the rarer they are among the samples, by what is seen ten times along the
    way: 1 / (share + 0.01)."""
    steps: int = 3000
    """Of the generator."""
    learning_rate: float = 1e-3
    """Of Adam, with the decays 0.5 and 0.9, for both."""
    batch_size: int = 128
    """Points."""
    seeds: int = 2
    """Runs."""
    seed: int = 0
    """Of all of them."""

    positive: ClassVar[tuple[str, ...]] = (
        "discriminator_repeats",
        "learning_rate",
        "batch_size",
        "seeds",
    )
    limits: ClassVar[dict[str, tuple[float, float]]] = {"minibatch_features": (0, 64), "penalty_weight": (0, 1e6)}
    multiples: ClassVar[dict[str, int]] = {"steps": LOOKS}

    def model(self) -> GAN:
        """The GAN of these settings."""
        regularisers = ()
        if self.penalty != "none":
            regularisers = (Regulariser(penalty=PENALTIES[self.penalty], weight=self.penalty_weight),)
        return point_gan(
            LOSSES[self.loss](),
            learning_rate=self.learning_rate,
            regularisers=regularisers,
            weight_limit=self.weight_limit,
            spectral=self.spectral,
            minibatch_features=self.minibatch_features,
            discriminator_repeats=self.discriminator_repeats,
            ema_decay=0.99,
        )

    def run(self) -> Findings:
        """See `Study`."""
        mixture, model = MIXTURES[self.mixture], self.model()
        keys = jax.random.split(stream_key(self.seed, "gaussian mixtures"), self.seeds)

        def one(key: Array) -> tuple[Array, Array]:
            def part(carry: tuple[TrainState, Array], number: Array) -> tuple[tuple[TrainState, Array], Array]:
                state, weights = carry
                k_part = jax.random.fold_in(key, number)
                draw = partial(mixture.draw, weights=weights) if self.reweighted else mixture.draw
                state, _ = train(model, state, draw, k_part, self.steps // LOOKS, batch_size=self.batch_size)
                drawn = model.sample(state, jax.random.fold_in(key, LOOKS), 1000).reshape(1000, 2)
                return (state, 1 / (shares_of_modes(drawn, mixture) + 0.01)), drawn

            first = start(model, key, self.batch_size), jnp.ones(len(mixture.centres))
            (state, _), drawn = jax.lax.scan(part, first, jnp.arange(LOOKS))
            return drawn, logits_on(model, state, extent(mixture))

        drawn, logits = jax.device_get(jax.jit(jax.vmap(one))(keys))
        found = [[mixture_coverage(x, mixture.centres, mixture.deviation) for x in run] for run in drawn]
        last = [run[-1] for run in found]
        numbers = {
            "modes": float(len(mixture.centres)),
            "covered": float(np.mean([each.captured for each in last])),
            "covered/least": float(min(each.captured for each in last)),
            "high_quality": float(np.mean([each.high_quality for each in last])),
            **{f"seed_{i}/covered": float(each.captured) for i, each in enumerate(last)},
            **{f"seed_{i}/high_quality": float(each.high_quality) for i, each in enumerate(last)},
        }
        text = (
            f"{self.loss}: {numbers['covered']:.1f} of {len(mixture.centres)} modes are covered, and "
            f"{100 * numbers['high_quality']:.0f} % of the samples lie near one (means of {self.seeds} runs)."
        )
        figure = _mixtures_figure(mixture, drawn[0], logits[0], found, self.steps // LOOKS)
        return Findings(numbers=numbers, figures={"mixture": figure}, text=text)


def shares_of_modes(points: Float[Array, "num 2"], mixture: Mixture) -> Float[Array, " modes"]:
    """Of points, by the nearest mode."""
    centres = jnp.asarray(mixture.centres, jnp.float32)
    distances = jnp.square(points[:, None] - centres[None]).sum(axis=2)
    return jax.nn.one_hot(distances.argmin(axis=1), len(centres)).mean(axis=0)


def extent(mixture: Mixture) -> float:
    """Half the side of the square that has all of it."""
    return float(np.abs(mixture.centres).max()) + 1.0


def plane(half: float, side: int = 60) -> Float[np.ndarray, "num 2"]:
    """Points of a square around the origin, row by row."""
    axis = np.linspace(-half, half, side, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def logits_on(model: GAN, state: TrainState, half: float) -> Float[Array, " num"]:
    """What the discriminator says of the points of `plane`."""
    points = jnp.asarray(plane(half)).reshape(-1, 1, 2, 1)
    return model.discriminator.apply(state.networks["discriminator"].variables(), points, train=False)


def _mixtures_figure(
    mixture: Mixture,
    drawn: Float[np.ndarray, "looks num 2"],
    logits: Float[np.ndarray, " places"],
    found: list[list[MixtureCoverage]],
    steps: int,
):
    half = extent(mixture)
    figure, axes = chart(1, 5, width=13, height=3.5, width_ratios=(1, 1, 1, 1.15, 1.2))
    for plot, look in zip(axes, (0, len(drawn) // 2, len(drawn) - 1), strict=False):
        plot.scatter(*drawn[look].T, s=2, color=PALETTE[1], alpha=0.5, linewidths=0, label="drawn")
        plot.set_title(f"Drawn after {steps * (look + 1):,} steps")
    side = int(np.sqrt(len(logits)))
    shown = axes[3].imshow(
        logits.reshape(side, side), extent=(-half, half, -half, half), origin="lower", cmap="viridis"
    )
    figure.colorbar(shown, ax=axes[3], shrink=0.8)
    axes[3].set_title("Discriminator's logit")
    for plot in axes[:4]:
        plot.scatter(*mixture.centres.T, s=22, marker="+", color=INK, linewidths=0.9, label="mode of the data")
        plot.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))
        plot.grid(False)
    legend_outside(axes[0], 2)
    places = steps * np.arange(1, len(found[0]) + 1)
    for i, run in enumerate(found):
        axes[4].plot(places, [each.captured for each in run], color=PALETTE[i % len(PALETTE)], alpha=0.8)
    axes[4].axhline(len(mixture.centres), color=SOFT, linestyle=":", linewidth=1)
    axes[4].set(title="Covered modes, each seed", xlabel="step", ylim=(0, len(mixture.centres) * 1.08))
    return figure
