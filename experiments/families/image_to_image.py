"""Two-player GANs from images to images."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal, Self

import jax.numpy as jnp

from experiments.families.gan_architectures import Pair
from experiments.families.gan_parts import CIFAR10, LOSSES, Loss, adam
from experiments.families.gans import check_ema_decay
from experiments.registry import SMOKE_RUN, Experiment, register
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.models.image_to_image import DenoisingGAN
from gdl_jax.networks.resnet_translation import ResNetJudge, ResNetTranslator
from gdl_jax.steps.augmentation import Corruption
from gdl_jax.steps.optimizers import Optimizer


@register(
    "denoising_gan",
    paper="Isola et al. 2017, arXiv:1611.07004 (loss); He et al. 2016, arXiv:1512.03385 (networks)",
    systems=("S36",),
    recipes={"S36": ("valle",)},
    monitor=("test/psnr_restored", "max"),
)
@dataclass(frozen=True, kw_only=True)
class ImageDenoisingGAN(Experiment):
    """Residual networks from noisy images to clean ones: an adversarial loss and L1, Valle, chapter 5.

        python -m experiments.run denoising_gan

    On the digits that scikit-learn ships, 16x16 (seed 0): test/psnr_restored 21.66 dB after 600 steps, where the noisy
    images have 13.09; 3:12 minutes of CPU time, compiling included. Nearly all restored digits are read as what they
    were. With --residual True 17.96 dB, and the background stays grey with noise.

    The preset valle (CIFAR-10) was not run in full. Smaller, with --width 16 --blocks 2 --data.num-examples 5000
    --steps 300 (seed 0): 21.19 dB, noisy images 20.32; colours are nearly right, and noise is still seen.
    7:44 minutes of CPU time, on two cores that other programs shared.
    """

    steps: int = 600
    sample_every: int = 200
    data: DataSettings = DataSettings(size=16)
    loss: Loss = "non_saturating"
    """The adversarial one; see gdl_jax/losses/adversarial.py and relativistic.py."""
    l1_weight: float = 100.0
    """Of the mean absolute difference from the clean image."""
    conditional: bool = False
    """The discriminator sees the noisy image beside the clean or the restored one."""
    corruption: Literal["gaussian", "masking", "salt_and_pepper"] = "gaussian"
    """What is done to the images."""
    corruption_amount: float = 0.3
    """Standard deviation of the Gaussian noise, of pixels in [0, 1]; share of the pixels that are masked or salt and
    pepper."""
    width: int = 32
    """Channels of the first layers of both networks."""
    halvings: int = 2
    """Of the image, in the generator; and as many doublings."""
    blocks: int = 2
    """Residual blocks of the generator."""
    residual: bool = False
    """The generator's result is the mean of its last layer and its input, as in the text; that leaves half of the noise
    on black and white."""
    ema_decay: float | None = None
    """Of the generator's averaged parameters, with which images are restored; None for no average."""
    generator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))
    discriminator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))

    positive: ClassVar[tuple[str, ...]] = (*Experiment.positive, "width", "halvings", "blocks")
    not_negative: ClassVar[tuple[str, ...]] = ("l1_weight", "corruption_amount")

    def __post_init__(self):
        super().__post_init__()
        if self.corruption != "gaussian" and self.corruption_amount > 1:
            raise UsageError(f"--corruption-amount is {self.corruption_amount}; a share has to be from 0 to 1.")
        check_ema_decay(self.ema_decay)

    def build(self, data: DataSpec) -> DenoisingGAN:
        """See `Experiment`."""
        return DenoisingGAN(
            **self._networks(data)._asdict(),
            optimizers={
                "generator": self.generator_optimizer.build(),
                "discriminator": self.discriminator_optimizer.build(),
            },
            loss=LOSSES[self.loss](),
            l1_weight=self.l1_weight,
            conditional=self.conditional,
            corruption=Corruption(self.corruption, self.corruption_amount),
            ema_decay=self.ema_decay,
        )

    def _networks(self, data: DataSpec) -> Pair:
        height, width, _ = data.image_shape
        # The last halving of the discriminator leaves 4x4 pixels, or a few more.
        judged = max(0, (min(height, width) // 4).bit_length() - 1)
        divisor = 2 ** max(self.halvings, judged)
        if min(height, width) < 4 or height % divisor or width % divisor:
            raise UsageError(
                f"The discriminator halves an image until 4 pixels are left and the generator --halvings "
                f"{self.halvings} times, and {height}x{width} cannot be halved so often; lower --halvings, or set "
                f"--data.size to a power of two, such as {max(16, 2**self.halvings)}."
            )
        # Keras' batch norm.
        settings = {
            "width": self.width,
            "norm": partial(BatchNorm, momentum=0.99, epsilon=1e-3),
            "dtype": jnp.dtype(self.dtype),
        }
        return Pair(
            ResNetTranslator(halvings=self.halvings, blocks=self.blocks, residual=self.residual, **settings),
            ResNetJudge(blocks=judged, **settings),
        )

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Experiment`."""
        return {
            "smoke": cls(**SMOKE_RUN, width=4, halvings=1, blocks=1, data=DataSettings(size=8)),
            "valle": cls(
                data=CIFAR10,
                width=64,
                blocks=6,
                residual=True,
                corruption_amount=0.1,
                steps=78_000,
                evaluate_every=5000,
            ),
        }
