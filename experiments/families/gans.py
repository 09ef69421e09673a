"""Two-player GANs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import jax.numpy as jnp

from experiments.families.gan_architectures import ARCHITECTURES, Architecture, Pair, without_batch_norm
from experiments.registry import SMOKE_RUN, Experiment, register
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.losses.adversarial import non_saturating, wasserstein
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.steps.optimizers import Optimizer


@dataclass(frozen=True, kw_only=True)
class TwoPlayer(Experiment):
    """What all GANs of a generator and a discriminator can be told."""

    data: DataSettings = DataSettings(size=16)
    architecture: Architecture = "small"
    """The networks; see experiments/families/gan_architectures.py."""
    width: int = 64
    """Channels of the discriminator's first block; the other widths are multiples of it."""
    latent_size: int = 64
    """Length of a latent vector."""
    latent_distribution: Literal["normal", "uniform", "sphere"] = "normal"
    """Of the latent vectors: N(0, 1), uniform on [-1, 1], or on a sphere."""
    ema_decay: float | None = 0.995
    """Of the generator's averaged parameters, from which samples are drawn; None for no average."""

    positive: ClassVar[tuple[str, ...]] = (*Experiment.positive, "width", "latent_size")

    def __post_init__(self):
        super().__post_init__()
        check_ema_decay(self.ema_decay)

    def pair(self, data: DataSpec) -> Pair:
        """The networks for such data."""
        builder, divisor = ARCHITECTURES[self.architecture]
        height, width, channels = data.image_shape
        if height != width or height % divisor:
            raise UsageError(
                f"The {self.architecture} networks make square images of a side that {divisor} divides, and these are "
                f"{height}x{width}; set --data.size to {max(1, round(height / divisor)) * divisor}."
            )
        return builder(height, channels, self.width, jnp.dtype(self.dtype))

    def prior(self) -> dict[str, Any]:
        """The settings that go to the model as they are."""
        return {name: getattr(self, name) for name in ("latent_size", "latent_distribution", "ema_decay")}


def check_ema_decay(decay: float | None) -> None:
    """Raises UsageError unless it is None or from 0 to below 1."""
    if decay is not None and not 0 <= decay < 1:
        raise UsageError(f"--ema-decay is {decay}; it has to be from 0 to below 1, or None.")


SMOKE = {**SMOKE_RUN, "width": 4, "latent_size": 8}


@register(
    "dcgan",
    paper="Radford, Metz, Chintala 2016, arXiv:1511.06434",
    systems=("J17", "J21", "LA11", "LA19", "S17", "F12", "S21", "S47", "LA.1"),
    recipes={"J21": ("paper",), "LA11": ("lanham",), "LA19": ("lanham_upsampling",), "S17": ("valle",)},
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class DCGAN(TwoPlayer):
    """Deep convolutional GAN with the non-saturating loss.

        python -m experiments.run dcgan

    On the digits that scikit-learn ships, 16x16: 4,000 steps in 100 s of training on a core (seed 0),
    test/frechet_pixels 0.052; 0.032 is that of the training images. Of the grid most are digits that a person reads.

    Of the texts' networks, 32x32, made narrow, after 2,000 steps (experiments/RESULTS.md), valle's learn digits (FID
    2.4), lanham_upsampling's half (8.0), the paper's slowly (17.5), and lanham's collapse (40, two classes): with
    PyTorch's initial parameters and momentum 0.9 the discriminator tells all images apart from the first hundred steps
    on. Momentum 0.5 or twice the width do not cure it in so few steps, nor does MNIST.
    """

    steps: int = 4000
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-4, b1=0.5))

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        pair = self.pair(data)
        return GAN(
            **pair._asdict(),
            optimizers={name: self.optimizer.build() for name in Pair._fields},
            loss=non_saturating(),
            **self.prior(),
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        published = {"latent_size": 100, "latent_distribution": "uniform", "ema_decay": None, "evaluate_every": 5000}
        lanham = {"latent_size": 100, "ema_decay": None, "evaluate_every": 5000}
        faces = DataSettings(name="celeb_a", size=64)
        cifar10 = DataSettings(name="cifar10")
        fashion = DataSettings(name="fashion_mnist", size=32)
        return {
            "smoke": cls(**SMOKE),
            "paper": cls(architecture="radford", data=faces, width=128, batch_size=128, steps=50_000, **published),
            "valle": cls(architecture="valle", data=cifar10, batch_size=128, steps=39_000, **published),
            "lanham": cls(
                architecture="lanham", data=faces, steps=50_000, optimizer=Optimizer(learning_rate=2e-4), **lanham
            ),
            "lanham_upsampling": cls(architecture="lanham_features", data=fashion, steps=187_600, **lanham),
        }


@register(
    "wgan_gp",
    paper="Gulrajani et al. 2017, arXiv:1704.00028",
    systems=("F27", "S40", "LA29", "L7.7"),
    recipes={"F27": ("foster",)},
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class WGANGP(TwoPlayer):
    """Wasserstein GAN with gradient penalty.

    The critic has no batch norm: the penalty is on the slope at single images, which batch norm would mix.

        python -m experiments.run wgan_gp

    On the digits that scikit-learn ships, 16x16, with --width 32: 2,000 steps in two minutes on a CPU core, once
    compiled; three seeds, test/frechet_pixels 0.105, 0.080 and 0.106 (of training images 0.032), FID of the
    classifier's features 3.5 (1.1). Of the grid about half are digits that a person reads. --preset foster, made
    smaller, has but 21.7 after 1,500 steps (experiments/RESULTS.md).
    """

    steps: int = 2000
    critic_repeats: int = 5
    """Updates of the critic for one of the generator."""
    penalty_weight: float = 10.0
    """Of the gradient penalty."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=1e-4, b1=0.0, b2=0.9))

    positive: ClassVar[tuple[str, ...]] = (*TwoPlayer.positive, "critic_repeats")

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        pair = self.pair(data)
        return GAN(
            generator=pair.generator,
            discriminator=without_batch_norm(pair.discriminator),
            optimizers={name: self.optimizer.build() for name in Pair._fields},
            loss=wasserstein(),
            regularisers=(Regulariser(penalty=gradient_penalty, weight=self.penalty_weight),),
            discriminator_repeats=self.critic_repeats,
            **self.prior(),
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        faces = DataSettings(name="celeb_a", size=64)
        published = {"architecture": "foster", "data": faces, "latent_size": 100, "ema_decay": None}
        return {
            "smoke": cls(**SMOKE, critic_repeats=2),
            "paper": cls(**published, steps=200_000, evaluate_every=10_000),
            "foster": cls(**published, steps=6000, optimizer=Optimizer(learning_rate=2e-4, b1=0.5)),
        }
