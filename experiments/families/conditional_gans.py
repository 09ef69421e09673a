"""Two-player GANs of labelled images, and of black and white ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal, Self

import flax.linen as nn
from jax import Array

from experiments.families.gan_architectures import Pair
from experiments.families.gan_parts import CIFAR10, FASHION, PLAIN, WGAN_GP, Freely, adam, both
from experiments.families.gans import SMOKE
from experiments.registry import register
from gdl_jax.data.source import DataSettings, class_numbers
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.normalisation import ConditionalBatchNorm
from gdl_jax.models.adversarial import ClassTerms, View
from gdl_jax.models.discrete_gan import DiscreteGAN, black_and_white
from gdl_jax.models.gan import GAN
from gdl_jax.networks.conditional import (
    AuxiliaryDiscriminator,
    LabelledDiscriminator,
    LabelledGenerator,
    ProjectionDiscriminator,
)
from gdl_jax.networks.dense_gan import DenseDiscriminator
from gdl_jax.networks.resnet_gan import ResNetGenerator
from gdl_jax.steps.optimizers import Optimizer


@register(
    "conditional_gan",
    paper="Mirza, Osindero 2014, arXiv:1411.1784; Odena et al. 2017 (AC-GAN); Miyato, Koyama 2018 (projection)",
    systems=("LA23", "S32", "S33"),
    recipes={"LA23": ("lanham", "convolutional"), "S32": ("auxiliary",)},
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class ConditionalGAN(Freely):
    """A GAN that is told the class of the image that it is to make; the grid shows one class after the other.

        python -m experiments.run conditional_gan
        python -m experiments.run conditional_gan --conditioning auxiliary
        python -m experiments.run conditional_gan --conditioning projection --architecture spectral_resnet --width 32

    With --data.classes 3 8 samples are of these classes only; the networks keep a place for each class of the data set.

    On the digits that scikit-learn ships, 16x16, with --width 32 and 4,000 steps (seed 0; 50 s of training on a core):
    FID of the classifier's features 1.33, of training images 1.13; with --conditioning projection 1.60, auxiliary 1.40.
    The classifier is sure of 97 to 99 % of a sample's class in the mean; AC-GAN's samples of a class are much alike.

    Presets: lanham (chapter 4, dense layers, least squares; its name there speaks of convolutions that it does not
    have), convolutional (with them), auxiliary (AC-GAN, chapter 5 of Valle), wgan_gp (the auxiliary classifier of the
    authors of WGAN-GP), sngan (projection and conditional batch norm), paper (dense layers, cross-entropy). Made
    narrow, after 800 steps in five minutes: sngan 1.99, wgan_gp 4.56 (experiments/RESULTS.md).
    """

    steps: int = 4000
    num_samples: int = 100
    """Images in a grid of samples; of 100, of ten classes, each column has one."""
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
        network = self.judge(pair.discriminator)
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
        drawn = class_numbers(self.data.classes, data.classes)
        return self.model(GAN, Pair(generator, judge), num_classes=num, drawn_classes=drawn, class_terms=terms)

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
            "smoke": cls(**(SMOKE | {"batch_size": 64}), architecture="dense"),
            "paper": cls(
                **(PLAIN | {"latent_size": 100, "latent_distribution": "uniform"}),
                architecture="dense_labels",
                data=DataSettings(name="mnist"),
                batch_size=100,
                steps=150_000,
                **both(Optimizer(rule="sgd", learning_rate=0.1, b1=0.5)),
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


def logits(x: Array) -> Array:
    """What a generator ends in whose values are drawn."""
    return x


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
    likelier that the discriminator takes for real. Preset: paper.

    On the digits that scikit-learn ships, 16x16, with --width 32 (seed 0; 108 s of training on a core): FID of the
    classifier's features 5.3 after 4,000 steps, where training images have 1.1; their greys, which black and white
    images cannot have, are a part of that. Of the grid more than half are digits that a person reads.
    """

    steps: int = 4000
    draws: int = 20
    """Images drawn of each latent vector."""
    discriminator_norm: bool = False
    generator_optimizer: Optimizer = field(default_factory=lambda: adam(1e-3))
    discriminator_optimizer: Optimizer = field(default_factory=lambda: adam(5e-4))

    positive: ClassVar[tuple[str, ...]] = (*Freely.positive, "draws")

    def build(self, data: DataSpec) -> DiscreteGAN:
        """See `Experiment`."""
        pair = self.pair(data)
        generator = pair.generator.clone(output=logits)
        return self.model(DiscreteGAN, Pair(generator, self.judge(pair.discriminator)), draws=self.draws)

    def views(self) -> tuple[View, ...]:
        """See `Freely`; of the data black and white."""
        return (black_and_white, *super().views())

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        return {
            "smoke": cls(**SMOKE, architecture="dense", draws=4),
            "paper": cls(
                **(PLAIN | {"latent_size": 64}),
                architecture="hjelm",
                data=DataSettings(name="mnist"),
                steps=93_750,
                **both(adam(1e-4)),
            ),
        }
