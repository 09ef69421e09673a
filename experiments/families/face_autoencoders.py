"""Variational autoencoders of faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import jax.numpy as jnp
import optax

from experiments.families.autoencoders import ConvVAE, Likelihoods, PosteriorNetworks
from experiments.families.coders import build_coders
from experiments.feature_networks import open_feature_network
from experiments.registry import SMOKE_RUN, Experiment, register
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.models.dfc_vae import DFCVAE
from gdl_jax.steps.optimizers import Optimizer


@register(
    "face_vae",
    paper="Kingma, Welling 2014, arXiv:1312.6114",
    systems=("F17",),
    recipes={"F17": ("paper", "foster")},
    monitor=("test/elbo", "max"),
)
@dataclass(frozen=True, kw_only=True)
class FaceVAE(ConvVAE):
    """Variational autoencoder of faces, with 200 latent dimensions.

        python -m experiments.run face_vae
        python -m experiments.run attributes runs/face_vae --num 1000 --names hat eyeglasses --alphas -2 -1 0 1 2

    With --steps 250 (seed 0): test/elbo 17,139 nats, 7.50 bits per dimension of dequantised pixels; 4:00 minutes of CPU
    time, 0.8 to 1.0 s a step on two shared cores. Reconstructions are blurred heads with the colours of skin, hair and
    hats on a ground that is not theirs yet; samples are outlines of heads, some with eyes and a mouth.
    Even so the direction of an attribute works: with it added once and twice to codes of test images without a hat, the
    read-out rises from 0.14 to 0.62 and 1.10, and the share of hats among the nearest images from 3 to 9 and 39 %; the
    read-out of eyeglasses from 0.12 to 0.25 and 0.36. The 2,000 steps of the default were not run to the end.

    At 64x64 (--data.size 64 --data.num-examples 2000 --steps 300, seed 0): test/elbo 4431 nats, 7.48 bits per
    dimension; 1:46 minutes of CPU time.

    The presets paper and foster take the middle of CelebA's pictures, as is usual; Foster squeezes the whole 178x218
    into the square.
    """

    steps: int = 2000
    batch_size: int = 32
    data: DataSettings = DataSettings(name="faces", size=128)
    architecture: PosteriorNetworks = "faces"
    """The networks; see experiments/families/coders.py."""
    likelihood: Likelihoods = "gaussian"
    """As in vae; of colours a cross-entropy is no likelihood."""
    latent_size: int = 200
    """Dimensions of the latent space."""
    kl_warmup_steps: int = 0
    """Steps in which the weight of the KL rises from 0, in a straight line."""
    reconstruction_weight: float = 10_000.0
    """Of the mean squared error (with squared_error)."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=5e-4))

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        celeb_a = DataSettings(name="celeb_a", size=128)
        return {
            "smoke": cls(**SMOKE_RUN, data=DataSettings(name="faces", size=16, num_examples=64), latent_size=8),
            "paper": cls(data=celeb_a, steps=25_000),
            "foster": cls(data=celeb_a, architecture="foster_faces", likelihood="squared_error", steps=25_000),
        }


@register(
    "dfc_vae",
    paper="Hou et al. 2017, arXiv:1610.00291",
    systems=("S11",),
    recipes={"S11": ("paper", "paper_345", "hou_128")},
    monitor=("test/objective", "min"),
)
@dataclass(frozen=True, kw_only=True)
class DeepFeatureVAE(Experiment):
    r"""Deep feature consistent variational autoencoder: images are compared in the feature maps of a network.

        python -m experiments.run dfc_vae

    With --steps 400 (seed 0): test/mse 0.0143 of pixels in [0, 1], test/objective 32.3; reconstructions and samples are
    blurred heads with the right colours of hair, skin and background, without eyes and mouths yet. 8 minutes of CPU
    time, compiling included. The default's 2,000 steps were not run to the end.

    With the features of a classifier of the hair's colour, short runs both (seed 0):

        python -m experiments.run classifier --data.name faces --data.size 64 --data.num-examples 1000 --width 8 \
            --steps 60 --workdir runs/features
        python -m experiments.run dfc_vae --features runs/features --data.num-examples 1000 --steps 100

    78.6 % of test accuracy, 40 s of CPU time; then test/mse 0.0195, 2:18 minutes, compiling included: blurs of
    hair, hats and backgrounds in their colours, no features of a face yet.
    """

    steps: int = 2000
    data: DataSettings = DataSettings(name="faces", size=64)
    architecture: Literal["hou", "hou_128", "jiang", "foster", "faces"] = "hou"
    """The networks; see experiments/families/coders.py."""
    latent_size: int = 100
    """Dimensions of the latent space."""
    features: str = "random"
    """Where images are compared: the run of a classifier or what export made of it; a file with the weights of VGG-16
    or VGG-19 (torchvision's .pth, Keras' .h5, .safetensors, .npz); or random: convolutions as they are drawn."""
    vgg_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1")
    """Maps of VGG that are compared."""
    feature_weight: float = 1000.0
    """Of the feature loss; it has to suit the size of the features. The paper's beta is 0.5 with the authors' (Keras')
    weights of VGG-19, whose features are in the hundreds."""
    kl_weight: float = 1.0
    """Of the divergence; alpha of the paper."""
    kl_warmup_steps: int = 0
    """Steps in which the weight of the KL rises from 0, in a straight line."""
    halve_every: int = 0
    """Steps after which the learning rate is halved, again and again; 0 for never."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=5e-4, b1=0.5))

    positive: ClassVar[tuple[str, ...]] = (*Experiment.positive, "latent_size")
    not_negative: ClassVar[tuple[str, ...]] = ("feature_weight", "kl_weight", "kl_warmup_steps", "halve_every")

    def build(self, data: DataSpec) -> DFCVAE:
        """See `Experiment`."""
        encoder, decoder = build_coders(
            self.architecture,
            data,
            latent=self.latent_size,
            heads=2,
            outputs_per_channel=1,
            dtype=jnp.dtype(self.dtype),
        )
        optimizer = self.optimizer.build()
        if self.halve_every:
            halving = optax.exponential_decay(1.0, self.halve_every, 0.5, staircase=True)
            optimizer = optax.chain(optimizer, optax.scale_by_schedule(halving))
        return DFCVAE(
            encoder=encoder,
            decoder=decoder,
            optimizer=optimizer,
            latent_size=self.latent_size,
            kl_weight=self.kl_weight,
            kl_warmup_steps=self.kl_warmup_steps,
            features=open_feature_network(
                self.features, data, vgg_layers=self.vgg_layers, experiment_data=self.data.name
            ),
            feature_weight=self.feature_weight,
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        celeb_a = {"data": DataSettings(name="celeb_a", size=64), "steps": 12_715, "halve_every": 2543}
        celeb_a |= {"features": "vgg19.npz", "feature_weight": 0.5}
        return {
            "smoke": cls(
                **SMOKE_RUN,
                data=DataSettings(name="faces", size=16, num_examples=64),
                architecture="jiang",
                latent_size=8,
            ),
            "paper": cls(**celeb_a),
            "paper_345": cls(vgg_layers=("relu3_1", "relu4_1", "relu5_1"), **celeb_a),
            # As the authors' code has it; it halves the learning rate in every step of each second epoch, here each
            # epoch does once.
            "hou_128": cls(
                **(celeb_a | {"data": DataSettings(name="celeb_a", size=128), "steps": 40_690, "halve_every": 4069}),
                architecture="hou_128",
                batch_size=40,
            ),
        }
