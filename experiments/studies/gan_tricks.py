"""A study of the rules of thumb for GANs: each of them left out of one training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key, UInt8
from scipy.stats import ttest_ind

from experiments.families.free_gan import FreeGAN
from experiments.families.gan_parts import adam, both
from experiments.registry import Findings, Study, register
from experiments.studies.upsampling import unevenness
from gdl_jax.data.source import DataSettings, load, resident
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.modes import class_coverage
from gdl_jax.models.gan import GAN
from gdl_jax.pictures.captions import named_rows
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

DATA = DataSettings(name="digits", size=16)
BATCH_SIZE, SHOWN = 32, 16

FOLLOWED: dict[str, Any] = {"label_noise": "inward", "discriminator_dropout": 0.2}
"""The settings of `gan` by which it follows every rule; the others are its defaults."""

Breach = Literal["max_pools", "uniform_latents", "plain_labels", "no_dropout", "relu", "kernel_5"]
BREACHES: dict[Breach, dict[str, Any]] = {
    "max_pools": {"downsampling": "max_pool"},
    "uniform_latents": {"latent_distribution": "uniform"},
    "plain_labels": {"label_noise": "plain"},
    "no_dropout": {"discriminator_dropout": 0.0},
    "relu": {"discriminator_activation": "relu"},
    "kernel_5": {"kernel": 5},
}
"""The settings by which it breaks one."""

# Less to compile, and convolutions as fast as ever.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})


class Score(NamedTuple):
    """Of the samples of one run.

    Attributes:
        distance: Frechet's to the test images, in the features of the classifier that comes with this library.
        classes: of the ten, how many the samples have.
        divergence: of their shares from those of the training images, in nats.
        repeats: share of the variance that repeats every two pixels: checkerboards.
    """

    distance: float
    classes: float
    divergence: float
    repeats: float


@register(
    "gan_tricks",
    paper="Chintala et al. 2016, How to train a GAN; Jiang, Generative Deep Learning, slides; Odena et al. 2016",
    systems=("J16", "S35"),
)
@dataclass(frozen=True, kw_only=True)
class GANTricks(Study):
    """A bag of tricks for GANs, and what becomes of samples where one of them is left out.

        python -m experiments.run gan_tricks

    Trains the same small GAN on digits with all rules (strides in place of pools, normal latent vectors, noisy labels,
    dropout and leaky ReLU in the discriminator, kernels that the stride divides), without one at a time, and without
    any. Each is a setting of `gan`. Shows samples, and prints for each the Frechet distance to test images in the
    features of the classifier that comes with this library, how many of the ten classes the samples have, how far the
    shares of these are from the data's, and how much of the variance repeats every two pixels (checkerboards).

    Means and standard deviations of three runs (seed 0; two and a half minutes of CPU, about half of it compiling);
    training images have a distance of 0.45, and 0.6 % of their variance repeats. All runs have all ten classes:

                           distance    repeats
        all_kept         6.4 +- 0.2      0.6 %
        max_pools        6.9 +- 0.1      0.4 %
        uniform_latents  7.1 +- 0.4      0.5 %
        plain_labels     7.4 +- 0.5      0.6 %
        no_dropout       6.1 +- 0.2      0.6 %
        relu             6.2 +- 0.8      0.7 %
        kernel_5         6.8 +- 0.4      0.6 %
        all_broken       5.6 +- 0.2      0.6 %

    With networks so small and 300 steps no rule makes a difference that three runs can tell from chance, and samples
    are no worse without any. Checkerboards are hardly stronger than in the data; `upsampling` shows how kernels make
    them. With --discriminator-norm false the distance is 15 +- 1 with all rules, 15 to 20 without one of them and
    19 +- 3 without any, samples have nine of the classes in the mean, and three runs tell no more.
    """

    steps: int = 300
    """Of each run."""
    width: int = 16
    """Of the networks; see `gan`."""
    learning_rate: float = 1e-3
    """Of Adam, with the decays 0.5 and 0.999, for both players."""
    breaches: tuple[Breach, ...] = tuple(BREACHES)
    """Rules to break, one at a time and in the end all of them."""
    discriminator_norm: bool = True
    """Batch norm in the discriminator."""
    seeds: int = 3
    """Runs with each set of rules."""
    seed: int = 0
    """Of all of them."""

    positive: ClassVar[tuple[str, ...]] = ("steps", "width", "learning_rate")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"seeds": (2, 100)}

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Study`."""
        return {"smoke": cls(steps=30, width=4, seeds=2, breaches=("max_pools",))}

    def runs(self) -> dict[str, dict[str, Any]]:
        """What the runs change of the settings that follow all rules."""
        broken = {name: BREACHES[name] for name in self.breaches}
        together = {"all_broken": {name: value for each in broken.values() for name, value in each.items()}}
        return {"all_kept": {}, **broken, **(together if len(broken) > 1 else {})}

    def model(self, changes: dict[str, Any], data: DataSpec) -> GAN:
        """What `gan` builds of its settings."""
        return FreeGAN(
            data=DATA,
            width=self.width,
            ema_decay=0.98,
            discriminator_norm=self.discriminator_norm,
            **both(adam(self.learning_rate)),
            **(FOLLOWED | changes),
        ).build(data)

    def run(self) -> Findings:
        """See `Study`."""
        train, test = (resident(load(DATA, split)) for split in ("train", "test"))
        keys = jax.random.split(stream_key(self.seed, "gan tricks"), self.seeds)
        judge = Judge(train.arrays["image"], train.labels, test.arrays["image"])
        numbers = {f"training images/{name}": value for name, value in judge(judge.train)._asdict().items()}
        scores, shown = {}, {"training images": judge.train[:SHOWN]}
        for name, changes in self.runs().items():
            model = self.model(changes, DataSpec.of(train))
            drawn = self._drawn(model, jnp.asarray(judge.train), keys, len(judge.test))
            scores[name], shown[name] = [judge(images) for images in drawn], drawn[0, :SHOWN]
            for field in Score._fields:
                values = [getattr(score, field) for score in scores[name]]
                numbers[f"{name}/{field}"] = float(np.mean(values))
                numbers[f"{name}/{field}_deviation"] = float(np.std(values, ddof=1))
        figures = {
            "scores": _figure(scores, judge(judge.train)),
            "samples": named_rows(np.stack(list(shown.values())), [name.replace("_", " ") for name in shown]),
        }
        return Findings(numbers=numbers, figures=figures, text=_words(scores))

    def _drawn(
        self, model: GAN, images: UInt8[Array, "n height width channels"], keys: Key[Array, " seeds"], num: int
    ) -> UInt8[np.ndarray, "seeds {num} height width channels"]:
        """Samples of one run with each key."""

        def one(key: Array) -> Float[Array, "{num} height width channels"]:
            def step(state, number):
                k_data, k_step = jax.random.split(jax.random.fold_in(key, number))
                chosen = jax.random.randint(k_data, (1, BATCH_SIZE), 0, len(images))
                return model.step(state, {"image": scale(images[chosen], model.image_range)}, k_step)[0], None

            first = model.init(key, {"image": scale(images[:BATCH_SIZE], model.image_range)})
            last, _ = jax.lax.scan(step, first, jnp.arange(self.steps))
            return model.sample(last, jax.random.fold_in(key, self.steps), num)

        # Optax raises a float to an int32 power.
        with jax.numpy_dtype_promotion("standard"):
            # One after the other: on CPU convolutions with kernels of their own for each seed take longer at once.
            drawn = jit(partial(jax.lax.map, one))(keys)
        return to_uint8(np.asarray(drawn), model.image_range)


class Judge:
    """What samples are compared with."""

    def __init__(self, train: np.ndarray, labels: np.ndarray, test: np.ndarray):
        self.train, self.test = train, test
        self.features = default_features(DATA.full_name)
        self.shares = np.bincount(labels, minlength=self.features.num_classes) / len(labels)
        self.moments = moments(self.features.of(test))

    def __call__(self, images: UInt8[np.ndarray, "num height width 1"]) -> Score:
        """The score of samples."""
        seen = self.features.look(images)
        found = class_coverage(seen.log_probabilities, self.shares)
        distance = frechet_distance(moments(seen.features), self.moments)
        return Score(distance, float(found.covered), found.divergence, unevenness(images[..., 0]))


def p_value(scores: list[Score], others: list[Score], field: str) -> float:
    """Of Welch's test that the two have the same mean."""
    a, b = (np.array([getattr(score, field) for score in each]) for each in (scores, others))
    return float(ttest_ind(a, b, equal_var=False).pvalue)


def _words(scores: dict[str, list[Score]]) -> str:
    lines = [f"{'':<16} {'Frechet distance':>18} {'classes':>8} {'every two pixels':>17}"]
    for name, each in scores.items():
        distances = [score.distance for score in each]
        lines.append(
            f"{name:<16} {np.mean(distances):>10.1f} +- {np.std(distances, ddof=1):<4.1f} "
            f"{np.mean([score.classes for score in each]):>8.1f} "
            f"{100 * np.mean([score.repeats for score in each]):>15.1f} %"
        )
    kept, *others = scores
    # Bonferroni's correction: of many comparisons one is below 5 % by chance.
    told = [name for name in others if p_value(scores[name], scores[kept], "distance") * len(others) < 0.05]
    lines.append(
        f"By Welch's test of {len(scores[kept])} runs each, at 5 % for all {len(others)} comparisons together, the "
        f"distance differs from that with all rules for: {', '.join(told) or 'none'}."
    )
    return "\n".join(lines)


def _figure(scores: dict[str, list[Score]], floor: Score):
    figure, axes = chart(1, 3, width=11, height=3.6, sharey=True)
    titles = {
        "distance": "Frechet distance to test images",
        "divergence": "Divergence of class shares, nats",
        "repeats": "Repeats every two pixels, share",
    }
    places = np.arange(len(scores))[::-1]
    for plot, (field, title) in zip(axes, titles.items(), strict=True):
        values = np.array([[getattr(score, field) for score in each] for each in scores.values()])
        plot.axvspan(
            values[0].min(), values[0].max(), color=PALETTE[0], alpha=0.12, linewidth=0, label="all rules kept"
        )
        plot.axvline(getattr(floor, field), color=SOFT, linestyle=":", linewidth=1, label="training images")
        plot.scatter(values, np.repeat(places[:, None], values.shape[1], axis=1), s=16, color=PALETTE[0], label="a run")
        plot.scatter(values.mean(axis=1), places, s=90, marker="|", color=INK, label="mean")
        plot.set(title=title, yticks=places, yticklabels=[name.replace("_", " ") for name in scores])
        plot.set_xlim(0, None)
    legend_outside(axes[0], 4)
    return figure
