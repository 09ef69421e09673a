"""Two-player GANs of which every part can be chosen: losses x penalties x architectures x tricks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Literal, Self

import flax.linen as nn
import optax
from jax import Array

from experiments.gan_architectures import Pair
from experiments.gans import SMOKE, TwoPlayer
from experiments.registry import register
from gdl_jax.data.augmentation import Change, diff_augment, instance_noise
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.normalisation import ConditionalBatchNorm
from gdl_jax.losses import adversarial, relativistic
from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.penalties import Penalty, dragan, drift, gradient_penalty, r1, r2
from gdl_jax.models.discrete_gan import DiscreteGAN, black_and_white
from gdl_jax.models.gan import GAN, ClassTerms, Regulariser, View
from gdl_jax.networks.conditional import (
    AuxiliaryDiscriminator,
    LabelledDiscriminator,
    LabelledGenerator,
    ProjectionDiscriminator,
)
from gdl_jax.networks.dense_gan import DenseDiscriminator
from gdl_jax.networks.resnet_gan import ResNetGenerator
from gdl_jax.steps.optimizers import Optimizer

Loss = Literal[
    "non_saturating",
    "minimax",
    "least_squares",
    "wasserstein",
    "hinge",
    "boundary_seeking",
    "relativistic",
    "relativistic_average",
    "relativistic_average_least_squares",
    "relativistic_average_hinge",
]

LOSSES: dict[str, Callable[[], AdversarialLoss]] = {
    "non_saturating": adversarial.non_saturating,
    "minimax": adversarial.minimax,
    "least_squares": adversarial.least_squares,
    "wasserstein": adversarial.wasserstein,
    "hinge": adversarial.hinge,
    "boundary_seeking": adversarial.boundary_seeking,
    "relativistic": relativistic.relativistic,
    "relativistic_average": relativistic.relativistic_average,
    "relativistic_average_least_squares": relativistic.relativistic_average_least_squares,
    "relativistic_average_hinge": relativistic.relativistic_average_hinge,
}

PENALTIES: dict[str, Penalty] = {
    "gradient": gradient_penalty,
    "one_sided_gradient": partial(gradient_penalty, one_sided=True),
    "dragan": dragan,
    "r1": r1,
    "r2": r2,
}

LABELS: dict[str, dict[str, tuple[float, float]]] = {
    "plain": {},
    "one_sided": {"real": (0.9, 0.9)},
    "inward": {"real": (0.95, 1.0)},
    "both": {"real": (0.7, 1.2), "fake": (0.0, 0.3)},
}


@dataclass(frozen=True, kw_only=True)
class Freely(TwoPlayer):
    """What a GAN can be put together of."""

    loss: Loss = "non_saturating"
    """What the players descend; see gdl_jax/losses/adversarial.py and relativistic.py."""
    penalty: Literal["none", "gradient", "one_sided_gradient", "dragan", "r1", "r2"] = "none"
    """On the discriminator's slope; see gdl_jax/losses/penalties.py."""
    penalty_weight: float = 10.0
    """Of the penalty; gamma of R1 and R2."""
    penalty_target: float = 1.0
    """Norm of the slope that gradient penalties and DRAGAN want."""
    penalty_interval: int = 1
    """The penalty in every so many steps only, as much stronger."""
    drift_weight: float = 0.0
    """Of the mean square of the logits of real images, which keeps a critic's scores from drifting."""
    weight_limit: float | None = None
    """The discriminator's weights are clipped to it after each update; None for no limit."""
    spectral: bool = False
    """Divide the discriminator's kernels by their largest singular values."""
    discriminator_norm: bool = True
    """Batch norm in the discriminator, where the architecture has one."""
    minibatch_features: int = 0
    """Numbers that tell the discriminator how alike the images of a batch are; 0 for none."""
    joint_batches: bool = False
    """Real and generated images in one batch of the discriminator."""
    label_noise: Literal["plain", "one_sided", "inward", "both"] = "plain"
    """Labels of real and generated images: 1 and 0; 0.9 and 0; from 0.95 to 1 and 0; from 0.7 to 1.2 and to 0.3."""
    label_flip: float = 0.0
    """Share of the images, real and generated, with the wrong label."""
    instance_noise: float = 0.0
    """Deviation of the noise on the discriminator's images at the first step."""
    fading_steps: int = 0
    """Steps in which that noise and the changes to the labels fall to nothing; 0 for never."""
    augment: tuple[Change, ...] = ()
    """Random changes of the discriminator's images, real and generated."""
    discriminator_repeats: int = 1
    """Updates of the discriminator in a step."""
    generator_repeats: int = 1
    """Updates of the generator in a step."""
    recalibration_batches: int = 0
    """Batches of which an averaged generator's batch norms take their statistics for sampling; 0 for running ones."""
    generator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))
    discriminator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))

    positive: ClassVar[tuple[str, ...]] = (
        *TwoPlayer.positive,
        "penalty_interval",
        "discriminator_repeats",
        "generator_repeats",
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("penalty_weight", "drift_weight", "instance_noise", "fading_steps", "minibatch_features",
                     "recalibration_batches"):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be 0 or more.")
        if not self.penalty_target > 0:
            raise UsageError(f"--penalty-target is {self.penalty_target}; it has to be above 0.")
        if self.weight_limit is not None and not self.weight_limit > 0:
            raise UsageError(f"--weight-limit is {self.weight_limit}; it has to be above 0, or None.")
        if not 0 <= self.label_flip <= 1:
            raise UsageError(f"--label-flip is {self.label_flip}; it has to be from 0 to 1.")
        if self._changes_labels() and LOSSES[self.loss]().by_label is None:
            raise UsageError(f"--loss {self.loss} compares images and has no labels that --label-noise could change.")

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        pair = self.pair(data)
        judge = self._judge(pair.discriminator)
        return self._model(GAN, Pair(pair.generator, judge))

    def _model(self, kind: type[GAN], pair: Pair, **further: Any) -> GAN:
        interval = self.penalty_interval if self.penalty != "none" else 1
        return kind(
            **pair._asdict(),
            optimizers={
                "generator": self.generator_optimizer.build(),
                "discriminator": self.discriminator_optimizer.build(interval),
            },
            loss=LOSSES[self.loss](),
            regularisers=self._regularisers(),
            weight_limit=self.weight_limit,
            labels=self._labels() if self._changes_labels() else None,
            views=self._views(),
            joint_batches=self.joint_batches,
            discriminator_repeats=self.discriminator_repeats,
            generator_repeats=self.generator_repeats,
            recalibration_batches=self.recalibration_batches,
            **self.prior(),
            **further,
        )

    def _judge(self, network: nn.Module) -> nn.Module:
        """The discriminator with what was chosen of norm, spectral norm and comparison within the batch."""
        has = {setting.name for setting in fields(network)}
        if "norm" in has and not self.discriminator_norm:
            network = network.clone(norm=None)
        if self.spectral:
            network = network.clone(spectral=True)
        if self.minibatch_features:
            if "minibatch_features" not in has:
                raise UsageError(f"The {self.architecture} networks cannot take --minibatch-features.")
            network = network.clone(minibatch_features=self.minibatch_features)
        mixes = self.minibatch_features or getattr(network, "norm", None) is not None
        if mixes and self.penalty in ("gradient", "one_sided_gradient", "dragan"):
            raise UsageError(
                f"--penalty {self.penalty} is on the slope at single images, which batch norm and minibatch features "
                "mix; add --no-discriminator-norm and leave --minibatch-features at 0."
            )
        return network

    def _regularisers(self) -> tuple[Regulariser, ...]:
        found = []
        if self.penalty != "none":
            targeted = self.penalty in ("gradient", "one_sided_gradient", "dragan")
            penalty = PENALTIES[self.penalty]
            penalty = partial(penalty, target=self.penalty_target) if targeted else penalty
            found.append(Regulariser(penalty=penalty, weight=self.penalty_weight, interval=self.penalty_interval))
        if self.drift_weight:
            found.append(Regulariser(penalty=drift, weight=self.drift_weight, name="drift"))
        return tuple(found)

    def _changes_labels(self) -> bool:
        return self.label_noise != "plain" or self.label_flip > 0

    def _labels(self) -> Labels:
        return Labels(**LABELS[self.label_noise], flip=self.label_flip, strength=self._fading(1.0))

    def _views(self) -> tuple[View, ...]:
        views = [diff_augment(self.augment)] if self.augment else []
        return (*views, instance_noise(self._fading(self.instance_noise))) if self.instance_noise else tuple(views)

    def _fading(self, value: float) -> optax.Schedule:
        return optax.linear_schedule(value, 0.0, self.fading_steps) if self.fading_steps else lambda step: value


def logits(x: Array) -> Array:
    """What a generator ends in whose values are drawn."""
    return x


def adam(learning_rate: float, momentum: float = 0.5, b2: float = 0.999, **settings: Any) -> Optimizer:
    """Adam as GANs have it."""
    return Optimizer(learning_rate=learning_rate, momentum=momentum, b2=b2, **settings)


def rmsprop(learning_rate: float, *, decay: float = 0.9, eps: float = 1e-7) -> Optimizer:
    """RMSprop, with Keras' decay and epsilon; PyTorch's are 0.99 and 1e-8."""
    return Optimizer(rule="rmsprop", learning_rate=learning_rate, b2=decay, eps=eps)


def both(optimizer: Optimizer) -> dict[str, Optimizer]:
    """One optimiser's settings for both players."""
    return {"generator_optimizer": optimizer, "discriminator_optimizer": optimizer}


FASHION = DataSettings(name="fashion_mnist", size=32)
CIFAR10 = DataSettings(name="cifar10")
FACES = DataSettings(name="celeb_a", size=64)

PLAIN: dict[str, Any] = {"latent_size": 100, "ema_decay": None, "evaluate_every": 5000}
"""What the texts have in common."""

WGAN_GP: dict[str, Any] = {
    "loss": "wasserstein",
    "penalty": "gradient",
    "discriminator_norm": False,
    "discriminator_repeats": 5,
}


@register(
    "gan",
    paper="Goodfellow et al. 2014, arXiv:1406.2661; of losses, penalties and networks, see each",
    systems=(
        *("LA10", "LA18", "S16", "F21", "J14", "J15", "F25", "LA20", "LA21", "LA22", "L7.8", "L7.9", "S34", "S35"),
        *("S37", "S38", "S39", "S40", "S41", "7.3", "11.6"),
    ),
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class FreeGAN(Freely):
    """A GAN of any loss, penalty, pair of networks and tricks.

        python -m experiments.run gan --loss hinge --spectral
        python -m experiments.run gan --loss relativistic_average --architecture dense
        python -m experiments.run gan --preset lanham_wgan

    Presets: lanham_dense (chapter 2), ganimals and foster_wgan (Foster, chapter 4; the text's drawings of camels are a
    folder of images: --data.name folder --data.dir ...; its horses one class of cifar10), jiang, lanham_wgan,
    lanham_boundary, lanham_relativistic, lanham_lipschitz (chapters 4 and 7), valle_lsgan, valle_wgan, valle_wgan_gp,
    valle_relativistic, valle_digits (chapters 5 and 11), drift (Karras et al. 2018), resnet_64 and sngan_64 (faces),
    sngan (Miyato et al. 2018), paper (Goodfellow et al. 2014, with today's activations).

    Of the texts, these plain mistakes are not repeated: a critic whose gradients are never cleared, which is what makes
    Lanham's WGAN look bad; a relativistic generator loss that is overwritten by a plain one; labels above 1; penalties
    behind a sigmoid or through batch norm; running statistics that are clipped with the weights. Their discriminators
    are updated once per step, on real and generated images, where they do it twice, on either.
    """

    steps: int = 4000

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        lanham = {**PLAIN, "data": FASHION, "steps": 187_600}
        valle = {**PLAIN, "data": CIFAR10, "batch_size": 128}
        return {
            "smoke": cls(**SMOKE, architecture="dense"),
            "paper": cls(
                **PLAIN,
                architecture="dense",
                data=DataSettings(name="mnist"),
                batch_size=100,
                steps=150_000,
                **both(Optimizer(rule="sgd", learning_rate=0.1, momentum=0.5)),
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
                data=CIFAR10,
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
            "lanham_relativistic": cls(**lanham, architecture="lanham_upsampling", loss="relativistic_average"),
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
                steps=1_000_000,
                **both(rmsprop(1e-5)),
            ),
            "valle_wgan_gp": cls(
                **(valle | {"latent_size": 128}),
                architecture="resnet",
                width=128,
                **WGAN_GP,
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


@register(
    "conditional_gan",
    paper="Mirza, Osindero 2014, arXiv:1411.1784; Odena et al. 2017 (AC-GAN); Miyato, Koyama 2018 (projection)",
    systems=("LA23", "S32", "S33"),
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class ConditionalGAN(Freely):
    """A GAN that is told the class of the image that it is to make; a row of the grid has one image of each.

        python -m experiments.run conditional_gan
        python -m experiments.run conditional_gan --conditioning auxiliary
        python -m experiments.run conditional_gan --conditioning projection --architecture spectral_resnet --width 32

    Presets: lanham (chapter 4, dense layers, least squares; its name there speaks of convolutions that it does not
    have), convolutional (with them), auxiliary (AC-GAN, chapter 5 of Valle), wgan_gp (the auxiliary classifier of the
    authors of WGAN-GP), sngan (projection and conditional batch norm), paper (dense layers, cross-entropy).
    """

    steps: int = 4000
    conditioning: Literal["input", "projection", "auxiliary"] = "input"
    """How the discriminator deals with the class: as a part of its input, by a product with its features, or by telling
    it itself."""
    embedding: int = 10
    """Length of a class's vector, which goes into the latent vector."""
    fusion: Literal["concat", "add", "multiply", "film"] = "concat"
    """How it goes there."""
    conditional_norm: bool = False
    """Classes in the batch norms of the generator instead of in its latent vector; resnet architectures only."""
    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of the classes' cross-entropy for --conditioning auxiliary: of real and of generated images in the
    discriminator's loss, and in the generator's."""

    positive: ClassVar[tuple[str, ...]] = (*Freely.positive, "embedding")

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        num = len(data.classes)
        if not num or "label" not in data.arrays:
            raise UsageError("conditional_gan needs images with labels, which these have not; try --data.name digits.")
        pair = self.pair(data)
        network = self._judge(pair.discriminator)
        spectral = self.spectral or getattr(network, "spectral", False)
        match self.conditioning:
            case "input":
                form = "pixels" if isinstance(network, DenseDiscriminator) else "channel"
                judge = LabelledDiscriminator(network, num, self.embedding, form)
            case "projection":
                judge = ProjectionDiscriminator(network, num, spectral, dtype=network.dtype)
            case "auxiliary":
                judge = AuxiliaryDiscriminator(network, num, spectral, dtype=network.dtype)
        weights = dict(zip(("on_real", "on_fake", "generator"), self.class_weights, strict=True))
        terms = ClassTerms(**weights) if self.conditioning == "auxiliary" else None
        generator = self._generator(pair.generator, num)
        return self._model(GAN, Pair(generator, judge), num_classes=num, class_terms=terms)

    def _generator(self, generator: nn.Module, num_classes: int) -> nn.Module:
        if not self.conditional_norm:
            return LabelledGenerator(generator, num_classes, self.embedding, self.fusion)
        if not isinstance(generator, ResNetGenerator):
            raise UsageError("--conditional-norm is for the resnet architectures; set --architecture spectral_resnet.")
        return generator.clone(norm=partial(ConditionalBatchNorm, num_classes))

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        lanham = {**PLAIN, "data": FASHION, "steps": 187_600}
        return {
            "smoke": cls(**SMOKE, architecture="dense"),
            "paper": cls(
                **(PLAIN | {"latent_size": 100, "latent_distribution": "uniform"}),
                architecture="dense_labels",
                data=DataSettings(name="mnist"),
                batch_size=100,
                steps=150_000,
                **both(Optimizer(rule="sgd", learning_rate=0.1, momentum=0.5)),
            ),
            "lanham": cls(**lanham, architecture="dense_labels", loss="least_squares"),
            "convolutional": cls(**lanham, architecture="lanham_upsampling", loss="least_squares"),
            "auxiliary": cls(
                **(PLAIN | {"latent_size": 110}),
                architecture="valle",
                data=CIFAR10,
                batch_size=100,
                steps=50_000,
                conditioning="auxiliary",
            ),
            "wgan_gp": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="resnet",
                data=CIFAR10,
                width=128,
                **WGAN_GP,
                conditioning="auxiliary",
                conditional_norm=True,
                class_weights=(1.0, 0.0, 0.1),
                steps=100_000,
                **both(adam(2e-4, 0.0, 0.9, linear_steps=100_000)),
            ),
            "sngan": cls(
                **(PLAIN | {"latent_size": 128}),
                architecture="spectral_resnet",
                data=CIFAR10,
                width=128,
                loss="hinge",
                conditioning="projection",
                conditional_norm=True,
                discriminator_repeats=5,
                steps=100_000,
                **both(adam(2e-4, 0.0, 0.9, linear_steps=100_000)),
            ),
        }


@register(
    "discrete_gan",
    paper="Hjelm et al. 2018, arXiv:1702.08431",
    systems=("LA21",),
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class BoundarySeekingGAN(Freely):
    """A GAN of black and white images, which learns although no gradient goes through the drawing of a pixel.

        python -m experiments.run discrete_gan

    The generator learns by a policy gradient: several images are drawn of each latent vector, and those are made
    likelier that the discriminator takes for real. The distance to the test images has their greys in it, which black
    and white images cannot have. Preset: paper.
    """

    steps: int = 4000
    draws: int = 20
    """Images drawn of each latent vector."""
    discriminator_norm: bool = False
    generator_optimizer: Optimizer = field(default_factory=lambda: adam(1e-4))
    discriminator_optimizer: Optimizer = field(default_factory=lambda: adam(1e-4))

    positive: ClassVar[tuple[str, ...]] = (*Freely.positive, "draws")

    def build(self, data: DataSpec) -> DiscreteGAN:
        """See `Experiment`."""
        pair = self.pair(data)
        generator = pair.generator.clone(output=logits)
        return self._model(DiscreteGAN, Pair(generator, self._judge(pair.discriminator)), draws=self.draws)

    def _views(self) -> tuple[View, ...]:
        return (black_and_white, *super()._views())

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        return {
            "smoke": cls(**SMOKE, architecture="dense", draws=4),
            "paper": cls(
                **(PLAIN | {"latent_size": 64}), data=DataSettings(name="mnist"), steps=93_750, discriminator_norm=False
            ),
        }
