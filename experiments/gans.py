"""Two-player GANs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from experiments.registry import Experiment, register
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.initializers import torch_uniform, torch_uniform_fan_out
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.losses.adversarial import non_saturating, wasserstein
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.models.gan import GAN
from gdl_jax.networks.dcgan import Discriminator, Generator, leaky_relu
from gdl_jax.steps.optimizers import Adam


class Pair(NamedTuple):
    """The two networks of a GAN."""

    generator: nn.Module
    discriminator: nn.Module


def small(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Two 4x4 blocks, for images of any size that 4 divides: the rules of Radford et al. at the size of digits."""
    blocks = {"kernels": (4, 4), "strides": (2, 2), "dtype": dtype}
    return Pair(
        Generator(start=(size // 4, size // 4, 2 * width), features=(width, channels), **blocks),
        Discriminator(features=(width, 2 * width), **blocks),
    )


def radford(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Radford et al. 2016, figure 1, with the 5x5 kernels of the figure; the discriminator mirrors the generator."""
    blocks = {"kernels": (5,) * 4, "strides": (2,) * 4, "dtype": dtype}
    widths = (8 * width, 4 * width, 2 * width, width)
    return Pair(
        Generator(start=(size // 16, size // 16, widths[0]), features=(*widths[1:], channels), **blocks),
        Discriminator(features=widths[::-1], **blocks),
    )


def valle(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Valle, chapter 3: leaky ReLU in the generator too, and Keras' batch norm."""
    norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(norm=norm, start_norm=norm, activation=leaky_relu, start_activation=leaky_relu),
        pair.discriminator.clone(norm=norm),
    )


def lanham(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 2: 4x4 kernels, no biases, PyTorch's initial parameters."""
    plain = {"kernels": (4,) * 4, "use_bias": False, "kernel_init": torch_uniform}
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(start_init=torch_uniform_fan_out, **plain),
        pair.discriminator.clone(**plain),
    )


def lanham_upsampling(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 4: nearest up-sampling and 3x3 convolutions; dropout of channels before the norm.

    The text's epsilon of 0.8 in batch normalisation is a slip for a momentum and is not repeated.
    """
    g, d = 2 * width, width // 4
    return Pair(
        Generator(
            start=(size // 4, size // 4, g),
            features=(g, width, channels),
            kernels=(3, 3, 3),
            strides=(2, 2, 1),
            upsampling="nearest",
            activation=leaky_relu,
            start_activation=None,
            dtype=dtype,
        ),
        Discriminator(
            features=(d, 2 * d, 4 * d, 8 * d),
            kernels=(3,) * 4,
            strides=(2,) * 4,
            padding=1,
            norm_last=True,
            dropout_rate=0.25,
            dropout_channels=True,
            dtype=dtype,
        ),
    )


def foster(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Foster, chapter 4, WGAN-GP: the first norm is over every unit of the projection on its own."""
    norm = partial(BatchNorm, epsilon=1e-3)
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(
            norm=norm,
            start_norm=partial(norm, axis=(-3, -2, -1)),
            activation=leaky_relu,
            start_activation=leaky_relu,
        ),
        pair.discriminator,
    )


ARCHITECTURES: dict[str, tuple[Callable[..., Pair], int]] = {
    "small": (small, 4),
    "radford": (radford, 16),
    "valle": (valle, 16),
    "lanham": (lanham, 16),
    "lanham_upsampling": (lanham_upsampling, 4),
    "foster": (foster, 16),
}
"""The builder of each pair, and what the image size has to be a multiple of."""


@dataclass(frozen=True, kw_only=True)
class TwoPlayer(Experiment):
    """What all GANs of a generator and a discriminator can be told."""

    data: DataSettings = DataSettings(size=16)
    architecture: Literal["small", "radford", "valle", "lanham", "lanham_upsampling", "foster"] = "small"
    """The networks; see experiments/gans.py."""
    width: int = 64
    """Channels of the discriminator's first block; the other widths are multiples of it."""
    latent_size: int = 64
    """Length of a latent vector."""
    latent_distribution: Literal["normal", "uniform"] = "normal"
    """Of the latent vectors: N(0, 1) or uniform on [-1, 1]."""
    ema_decay: float | None = 0.995
    """Of the generator's averaged parameters, from which samples are drawn; None for no average."""

    positive: ClassVar[tuple[str, ...]] = (*Experiment.positive, "width", "latent_size")

    def __post_init__(self):
        super().__post_init__()
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise UsageError(f"--ema-decay is {self.ema_decay}; it has to be from 0 to below 1, or None.")

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


SMOKE = {
    "steps": 20,
    "batch_size": 16,
    "width": 4,
    "latent_size": 8,
    "log_every": 5,
    "sample_every": 10,
    "evaluate_every": 20,
    "checkpoint_every": 10,
    "num_samples": 16,
}


@register(
    "dcgan",
    paper="Radford, Metz, Chintala 2016, arXiv:1511.06434",
    systems=("J21", "LA11", "LA19", "S17", "F12", "S21", "S47", "LA.1"),
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class DCGAN(TwoPlayer):
    """Deep convolutional GAN with the non-saturating loss.

        python -m experiments.run dcgan

    On the digits that scikit-learn ships, 16x16: 4,000 steps in one to three minutes on two CPU cores (seed 0),
    test/frechet_pixels 0.056; 0.034 is that of the training images. Of the grid most are digits that a person reads.
    """

    steps: int = 4000
    optimizer: Adam = Adam(learning_rate=2e-4, b1=0.5)

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
                architecture="lanham", data=faces, steps=50_000, optimizer=Adam(learning_rate=2e-4), **lanham
            ),
            "lanham_upsampling": cls(architecture="lanham_upsampling", data=fashion, steps=187_600, **lanham),
        }


@register(
    "wgan_gp",
    paper="Gulrajani et al. 2017, arXiv:1704.00028",
    systems=("F27", "S40", "LA29", "L7.7"),
    monitor=("test/frechet_pixels", "min"),
)
@dataclass(frozen=True, kw_only=True)
class WGANGP(TwoPlayer):
    """Wasserstein GAN with gradient penalty.

    The critic has no batch norm: the penalty is on the slope at single images, which batch norm would mix.

        python -m experiments.run wgan_gp
    """

    steps: int = 2000
    critic_repeats: int = 5
    """Updates of the critic for one of the generator."""
    penalty_weight: float = 10.0
    """Of the gradient penalty."""
    optimizer: Adam = Adam(learning_rate=1e-4, b1=0.0, b2=0.9)

    positive: ClassVar[tuple[str, ...]] = (*TwoPlayer.positive, "critic_repeats")

    def build(self, data: DataSpec) -> GAN:
        """See `Experiment`."""
        pair = self.pair(data)
        return GAN(
            generator=pair.generator,
            discriminator=pair.discriminator.clone(norm=None),
            optimizers={name: self.optimizer.build() for name in Pair._fields},
            loss=wasserstein(),
            penalty=gradient_penalty,
            penalty_weight=self.penalty_weight,
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
            "foster": cls(**published, steps=6000, optimizer=Adam(learning_rate=2e-4, b1=0.5)),
        }
