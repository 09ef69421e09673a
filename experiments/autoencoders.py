"""Autoencoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Self

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from experiments.registry import Experiment, register
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.models.vae import VAE
from gdl_jax.networks.conv_autoencoder import ConvDecoder, ConvEncoder
from gdl_jax.steps.optimizers import Adam


class Coders(NamedTuple):
    """The two networks of an autoencoder."""

    encoder: nn.Module
    decoder: nn.Module


def jiang(size: int, channels: int, latent: int, dtype: DTypeLike) -> Coders:
    """Jiang's lecture: two strided convolutions with ReLU and a hidden layer of 16 units."""
    blocks = {"activation": nn.relu, "dtype": dtype}
    return Coders(
        ConvEncoder(latent, features=(32, 64), kernels=(3, 3), strides=(2, 2), hidden=(16,), **blocks),
        ConvDecoder(
            start=(size // 4, size // 4, 64),
            features=(64, 32, channels),
            kernels=(3, 3, 3),
            strides=(2, 2, 1),
            start_activation=nn.relu,
            **blocks,
        ),
    )


def foster(size: int, channels: int, latent: int, dtype: DTypeLike) -> Coders:
    """Foster, chapter 3: four convolutions with leaky ReLU, and their mirror image."""
    return Coders(
        ConvEncoder(latent, dtype=dtype),
        ConvDecoder(start=(size // 4, size // 4, 64), features=(64, 64, 32, channels), dtype=dtype),
    )


ARCHITECTURES: dict[str, Callable[..., Coders]] = {"jiang": jiang, "foster": foster}


@register(
    "vae",
    paper="Kingma, Welling 2014, arXiv:1312.6114",
    systems=("J10", "J11", "F15"),
    monitor=("test/elbo", "max"),
)
@dataclass(frozen=True, kw_only=True)
class ConvVAE(Experiment):
    """Convolutional variational autoencoder with a latent space of two dimensions.

        python -m experiments.run vae
        TFDS_DATA_DIR=... python -m experiments.run vae --preset paper

    The ELBO is in nats per image, the cross-entropy with the grey pixels being taken for the likelihood. On the digits
    that scikit-learn ships (seed 0): test/elbo -152.4 after 2,000 steps, two to three minutes on two CPU cores. On
    MNIST: -165.3 after 1,000 steps, -150.25 after 14,000 (30 epochs), 33 minutes of training on two cores that other
    programs shared, 13 minutes at the speed of its undisturbed stretches.
    """

    steps: int = 2000
    batch_size: int = 128
    architecture: Literal["jiang", "foster"] = "jiang"
    """The networks; see experiments/autoencoders.py."""
    latent_size: int = 2
    """Dimensions of the latent space."""
    likelihood: Literal["bernoulli", "squared_error"] = "bernoulli"
    """Of the pixels: cross-entropy summed over them, or weighted mean squared error."""
    reconstruction_weight: float = 1000.0
    """Of the mean squared error (with squared_error)."""
    kl_reduce: Literal["sum", "mean"] = "sum"
    """Over the latent dimensions: the sum is the ELBO's; the mean is what some texts have, a weaker KL."""
    kl_weight: float = 1.0
    """Beta of the beta-VAE; 1 is the ELBO."""
    optimizer: Adam = Adam(learning_rate=1e-3)

    positive: ClassVar[tuple[str, ...]] = (*Experiment.positive, "latent_size")

    def build(self, data: DataSpec) -> VAE:
        """See `Experiment`."""
        height, width, channels = data.image_shape
        if height != width or height % 4:
            raise UsageError(
                f"This autoencoder takes square images of a side that 4 divides, and these are {height}x{width}; "
                f"set --data.size to {max(1, round(height / 4)) * 4}."
            )
        coders = ARCHITECTURES[self.architecture](height, channels, self.latent_size, jnp.dtype(self.dtype))
        return VAE(
            encoder=coders.encoder,
            decoder=coders.decoder,
            optimizer=self.optimizer.build(),
            latent_size=self.latent_size,
            likelihood=self.likelihood,
            reconstruction_weight=self.reconstruction_weight,
            kl_reduce=self.kl_reduce,
            kl_weight=self.kl_weight,
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        mnist = DataSettings(name="mnist")
        return {
            "smoke": cls(
                steps=20,
                batch_size=16,
                log_every=5,
                sample_every=10,
                evaluate_every=20,
                checkpoint_every=10,
                num_samples=16,
                data=DataSettings(size=8),
            ),
            "paper": cls(data=mnist, steps=14_000),
            "jiang": cls(data=mnist, steps=14_040, kl_reduce="mean"),
            "foster": cls(
                data=mnist,
                architecture="foster",
                likelihood="squared_error",
                batch_size=32,
                steps=375_000,
                optimizer=Adam(learning_rate=5e-4),
            ),
        }
