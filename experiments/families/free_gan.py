"""Two-player GANs of which every part can be chosen: losses x penalties x architectures x tricks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import jax
import jax.numpy as jnp

from experiments.families.gan_architectures import Pair
from experiments.families.gan_parts import CIFAR10, FACES, FASHION, PLAIN, WGAN_GP, Freely, adam, both, rmsprop
from experiments.families.gans import SMOKE
from experiments.registry import register
from gdl_jax.data.source import DataSettings, class_numbers
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.activations import Activation
from gdl_jax.metrics.classifiers import SHIPPED, shipped_logits
from gdl_jax.models.gan import GAN
from gdl_jax.models.reweighted_gan import ReweightedGAN
from gdl_jax.models.wanted_gan import WantedGAN
from gdl_jax.steps.optimizers import Optimizer

Output = Literal["tanh", "sigmoid", "scaled_tanh", "identity"]

OUTPUTS: dict[Output, Activation] = {
    "tanh": jnp.tanh,
    "sigmoid": lambda x: 2 * jax.nn.sigmoid(x) - 1,
    "scaled_tanh": lambda x: 1.1 * jnp.tanh(x),
    "identity": lambda x: x,
}
"""For images in [-1, 1]."""


@register(
    "gan",
    paper="Goodfellow et al. 2014, arXiv:1406.2661; of losses, penalties and networks, see each",
    systems=(
        *("LA10", "LA18", "LA20", "LA21", "LA22", "L7.8", "L7.9", "F21", "F25", "J13", "J14", "J15", "S16", "S20"),
        *("S34", "S35", "S37", "S38", "S39", "S40", "S41", "7.3", "11.6"),
    ),
    recipes={
        "LA10": ("lanham_dense",),
        "LA20": ("lanham_wgan",),
        "LA21": ("lanham_boundary",),
        "LA22": ("lanham_relativistic",),
        "L7.9": ("lanham_lipschitz",),
        "F21": ("ganimals",),
        "F25": ("foster_wgan",),
        "J14": ("jiang",),
        "J15": ("jiang",),
        "S38": ("valle_lsgan",),
        "S39": ("valle_wgan",),
        "S40": ("valle_wgan_gp",),
        "S41": ("valle_relativistic",),
        "7.3": ("drift",),
        "11.6": ("valle_digits",),
    },
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class FreeGAN(Freely):
    r"""A GAN of any loss, penalty, pair of networks and tricks.

        python -m experiments.run gan --loss hinge --spectral True
        python -m experiments.run gan --loss relativistic_average --architecture dense
        python -m experiments.run gan --preset lanham_wgan
        python -m experiments.run gan --preset ganimals --data.name cifar10 --data.classes horse

    Presets: lanham_dense (chapter 2), ganimals and foster_wgan (Foster, chapter 4: camels, which are a folder of
    drawings, --data.name folder --data.dir ..., and the horses of cifar10), jiang, lanham_wgan, lanham_boundary,
    lanham_relativistic, lanham_lipschitz (chapters 4 and 7), valle_lsgan, valle_wgan (with the head start of the critic
    in the code of WGAN's authors), valle_wgan_gp, valle_relativistic, valle_digits (chapters 5 and 11), gulrajani
    (WGAN-GP as in its authors' code), drift (Karras et al. 2018), resnet_64 and sngan_64 (faces), sngan (Miyato et
    al. 2018), paper (Goodfellow et al. 2014, with today's activations). lanham_relativistic has the text's loss, whose
    generator leaves a term out; the paper's is --loss relativistic_average.

    On the digits that scikit-learn ships, 16x16, with --width 32 and 4,000 steps (under two minutes on an idle core,
    once compiled; three seeds): FID of the classifier's features, of training images 1.1, with --loss least_squares
    2.3, boundary_seeking 2.7, relativistic_average 2.8, hinge with --spectral True --discriminator-norm False 2.8, and
    clipped weights 3.5; one seed: minimax 2.7, relativistic 2.6, relativistic_average_least_squares and
    relativistic_average_hinge 2.5, DRAGAN 6.8 (2,000 steps). All ten classes are there, and most samples are digits
    that a person reads. Of the presets, made smaller: valle_digits and ganimals 2.4, sngan 3.1, lanham_dense 4.0,
    gulrajani 4.3, lanham_wgan 5.5, lanham_relativistic 5.7, lanham_boundary 5.8, foster_wgan 5.9, lanham_lipschitz 14.3
    (1,500 steps), jiang 11.9 (three seeds, 8.8 to 15.8). The commands are in experiments/RESULTS.md.

    While it trains one sees which classes of the data its samples have, by the classifier that comes with the library,
    and how far the discriminator keeps test images from samples and how steep it is between them:

        python -m experiments.run gan --loss wasserstein --penalty gradient --discriminator-norm False \
            --discriminator-repeats 5 --architecture dense --width 16 --steps 1500 --monitor-slope True \
            --evaluate-every 250 --eval.every 250 --eval.metrics modes

    On digits (seed 0) 3 classes of 10 are covered after 250 steps, 8 after 500 and all from 750 on; the divergence of
    their shares, by which the best checkpoint is chosen then, falls from 1.76 to 0.09 nats; the slope is 0.80 to 0.88.

    With --wanted 3 8 --width 16 --steps 1500 the discriminator rejects all other digits like generated ones: of 500
    samples (seed 0, the verb modes) all are 3 or 8, the classifier is sure with 0.96, and many are alike.

    Of the texts, these plain mistakes are not repeated: a critic whose gradients are never cleared, which is what makes
    Lanham's WGAN look bad; a relativistic generator loss that is overwritten by a plain one; labels above 1; penalties
    behind a sigmoid or through batch norm; running statistics that are clipped with the weights. Their discriminators
    are updated once per step, on real and generated images, where they do it twice, on either.
    """

    steps: int = 4000
    output: Output = "tanh"
    """What the generator ends in: tanh; a sigmoid, which is tanh at half the slope; a tanh that reaches a tenth beyond
    black and white; or nothing, so that no pixel has bounds."""
    wanted: tuple[str, ...] = ()
    """Classes that the generator is to make, where images of the others are to be rejected like generated ones; none
    for all of them."""
    fake_weight: float = 0.5
    """Of the generated images beside those others, from 0 to 1."""
    reweighted: bool = False
    """Real images of classes that are rare among samples come the more often; the classifier that comes with this
    library for the data looks at samples every 100 steps."""

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.fake_weight <= 1:
            raise UsageError(f"--fake-weight is {self.fake_weight}; it has to be from 0 to 1.")

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        pair = self.pair(data)
        pair = Pair(pair.generator.clone(output=OUTPUTS[self.output]), self.judge(pair.discriminator))
        if self.reweighted:
            return self._reweighted(pair, len(data.classes))
        if not self.wanted:
            return self.model(GAN, pair)
        if "label" not in data.arrays:
            raise UsageError("--wanted needs images with labels, which these have not; try --data.name digits.")
        wanted = class_numbers(self.wanted, data.classes, "--wanted")
        return self.model(WantedGAN, pair, wanted=wanted, fake_weight=self.fake_weight)

    def _reweighted(self, pair: Pair, classes: int) -> ReweightedGAN:
        if self.data.full_name not in SHIPPED:
            raise UsageError(f"--reweighted needs data with a classifier: {', '.join(SHIPPED)}.")
        if self.wanted:
            raise UsageError("--reweighted is for GANs of all classes; leave it or --wanted out.")
        return self.model(
            ReweightedGAN, pair, classes=classes, classify=shipped_logits(self.data.full_name, GAN.image_range)
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        lanham = {**PLAIN, "data": FASHION, "steps": 187_600}
        valle = {**PLAIN, "data": CIFAR10, "batch_size": 128}
        return {
            "smoke": cls(**(SMOKE | {"batch_size": 64}), architecture="dense"),
            "paper": cls(
                **PLAIN,
                architecture="dense",
                data=DataSettings(name="mnist"),
                batch_size=100,
                steps=150_000,
                **both(Optimizer(rule="sgd", learning_rate=0.1, b1=0.5)),
            ),
            "lanham_dense": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="dense",
                data=DataSettings(name="mnist"),
                batch_size=100,
                steps=150_000,
                **both(adam(2e-4, 0.9)),
            ),
            "ganimals": cls(
                **PLAIN,
                architecture="ganimals",
                data=DataSettings(name="mnist"),
                steps=6000,
                generator_optimizer=rmsprop(4e-4),
                discriminator_optimizer=rmsprop(8e-4),
            ),
            "foster_wgan": cls(
                **PLAIN,
                architecture="foster_upsampling",
                data=replace(CIFAR10, classes=("horse",)),
                width=32,
                batch_size=128,
                steps=6000,
                loss="wasserstein",
                weight_limit=0.01,
                discriminator_repeats=5,
                **both(rmsprop(5e-5)),
            ),
            "jiang": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="jiang",
                data=FACES,
                batch_size=32,
                steps=633_100,
                joint_batches=True,
                label_noise="inward",
                **both(adam(1e-4, 0.9, eps=1e-7)),
            ),
            "lanham_wgan": cls(
                **lanham,
                architecture="dense_norm",
                loss="wasserstein",
                weight_limit=0.01,
                discriminator_repeats=5,
                **both(rmsprop(5e-5, decay=0.99, eps=1e-8)),
            ),
            "lanham_boundary": cls(**lanham, architecture="dense_norm", loss="boundary_seeking"),
            "lanham_relativistic": cls(
                **lanham, architecture="lanham_upsampling", loss="relativistic_average_one_term"
            ),
            "lanham_lipschitz": cls(
                **lanham,
                architecture="lanham_upsampling",
                spectral=True,
                penalty="gradient",
                discriminator_norm=False,
                discriminator_repeats=5,
            ),
            "valle_lsgan": cls(
                **valle, architecture="valle", loss="least_squares", latent_distribution="uniform", steps=39_000
            ),
            "valle_wgan": cls(
                **valle,
                architecture="resnet",
                loss="wasserstein",
                weight_limit=0.01,
                discriminator_repeats=5,
                critic_head_start=True,
                steps=1_000_000,
                **both(rmsprop(1e-5)),
            ),
            "valle_wgan_gp": cls(
                **(valle | {"latent_size": 128}),
                architecture="resnet",
                width=128,
                **WGAN_GP,
                steps=1_000_000,
                **both(adam(2e-4, 0.5, 0.9)),
            ),
            "gulrajani": cls(
                **(PLAIN | {"latent_size": 128}),
                data=CIFAR10,
                architecture="resnet",
                width=128,
                **WGAN_GP,
                grey_levels="spread",
                generator_batches=2,
                steps=100_000,
                **both(adam(2e-4, 0.0, 0.9, linear_steps=100_000)),
            ),
            "valle_relativistic": cls(
                **valle,
                architecture="resnet",
                width=128,
                loss="relativistic_average",
                generator_repeats=3,
                steps=100_000,
                **both(adam(1e-4, 0.5, 0.9)),
            ),
            "valle_digits": cls(
                **PLAIN,
                architecture="valle_digits",
                data=DataSettings(name="mnist"),
                loss="least_squares",
                steps=20_000,
            ),
            "drift": cls(
                **(valle | {"latent_size": 128}),
                architecture="resnet",
                width=128,
                **WGAN_GP,
                penalty_target=750.0,
                drift_weight=1e-3,
                steps=100_000,
                **both(adam(2e-4, 0.0, 0.9)),
            ),
            "sngan": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="spectral_resnet",
                data=CIFAR10,
                width=128,
                loss="hinge",
                discriminator_repeats=5,
                steps=100_000,
                **both(adam(2e-4, 0.0, 0.9, linear_steps=100_000)),
            ),
            "resnet_64": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="resnet_64",
                data=FACES,
                **WGAN_GP,
                steps=200_000,
                **both(adam(1e-4, 0.0, 0.9)),
            ),
            "sngan_64": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="spectral_resnet_64",
                data=FACES,
                loss="hinge",
                discriminator_repeats=5,
                steps=450_000,
                **both(adam(2e-4, 0.0, 0.9)),
            ),
        }
