"""Two players of which the generator makes images of images: Isola et al. 2017 (arXiv:1611.07004)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key, PyTree

from gdl_jax.losses.reconstruction import mean_absolute_error, psnr
from gdl_jax.models.adversarial import AdversarialModel, Examples, Losses, Made, Round
from gdl_jax.steps.augmentation import Corruption
from gdl_jax.steps.phases import Batch, Outcome
from gdl_jax.steps.state import TrainState

Images = Float[Array, "num height width channels"]


class Pair(NamedTuple):
    """Images, and what is to become of them; they may differ in their channels."""

    source: Images
    target: Images


@dataclass(frozen=True, kw_only=True)
class ImageToImageGAN(AdversarialModel):
    """Descends the adversarial loss + l1_weight * mean |target - generator(source)|: Isola et al. 2017, eq. 4.

    The pairs are those of the batch, "source" and "image"; a subclass may make them of something else.

    Attributes:
        generator: (source images, train) -> images in `image_range`.
        discriminator: (images, train) -> logits, one or more per image.
        l1_weight: lambda of the paper.
        conditional: the discriminator sees the source too, as further channels before those of the target or of the
            generated image (the paper, eq. 1); else it sees these alone (eq. 2). The slope of regularisers is then in
            the source's channels too.
    """

    l1_weight: float = 100.0
    conditional: bool = False

    image_keys = ("source", "image")

    def pairs(self, batch: Batch, key: Key[Array, ""]) -> Pair:
        """What the generator is to learn from a batch."""
        return Pair(batch["source"], batch["image"])

    def translate(self, state: TrainState, images: Images) -> Images:
        """What the generator makes of source images, with averaged parameters if there are any."""
        return self.generator.apply(state.networks["generator"].averaged(), images, train=False)

    def _examples(self, batch: Batch, key: Array) -> Examples:
        source, target = self.pairs(batch, key)
        return Examples((source,), target)

    def _round(self, made: Made, step: Array) -> Round:
        shown = super()._round(made, step)
        if not self.conditional:
            return shown
        (source,) = made.examples.inputs
        # Before the views, so that source and image are moved or cut alike.
        real, fake = (jnp.concatenate([source, images], axis=3) for images in (shown.real, shown.fake))
        return shown._replace(real=real, fake=fake)

    def _generate(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> Losses:
        made, adversarial = self._deceive(params["generator"], state, batch, key)
        error = mean_absolute_error(made.images, made.examples.real)
        metrics = {"adversarial": adversarial, "l1": error}
        return adversarial + self.l1_weight * error, Outcome({"generator": made.collections}, metrics)


@dataclass(frozen=True, kw_only=True)
class DenoisingGAN(ImageToImageGAN):
    """Learns to make clean images of noisy ones; the noise is new in each update.

    Attributes:
        corruption: the noise.
    """

    corruption: Corruption

    image_keys = ("image",)

    def pairs(self, batch: Batch, key: Key[Array, ""]) -> Pair:
        """Noisy images, and the clean ones."""
        return Pair(self.corrupt(batch["image"], key), batch["image"])

    def corrupt(self, images: Images, key: Key[Array, ""]) -> Images:
        """With noise, in `image_range`."""
        low, high = self.image_range
        return low + (high - low) * self.corruption(self._unit(images), key)

    def reconstruct(self, state: TrainState, images: Images) -> Images:
        """Without the noise."""
        return self.translate(state, images)

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Of noisy images and of what they are restored to, against the clean ones with pixels in [0, 1].

        "mse_corrupted", "mse_restored": mean squared error; "psnr_corrupted", "psnr_restored": in dB.
        """
        clean = batch["image"]
        noisy = self.corrupt(clean, key)
        compared = {"corrupted": noisy, "restored": self.reconstruct(state, noisy)}
        wanted = self._unit(clean)
        found = {}
        for name, images in compared.items():
            unit = self._unit(images)
            found |= {f"mse_{name}": jnp.square(unit - wanted).mean(axis=(1, 2, 3)), f"psnr_{name}": psnr(unit, wanted)}
        return found

    def protocol(self) -> dict[str, str]:
        """How `evaluate` measures, under the name of each measure."""
        noise = (
            f"{self.corruption.kind} noise of {self.corruption.amount:g} on pixels in [0, 1], one draw for each image"
        )
        return {
            f"{measure}_{images}": f"mean over images of their {words} against the clean ones; {noise}"
            for measure, words in (("mse", "mean squared error"), ("psnr", "peak signal-to-noise ratio in dB"))
            for images in ("corrupted", "restored")
        }

    def _unit(self, images: Images) -> Images:
        """From `image_range` to [0, 1]."""
        low, high = self.image_range
        return (images - low) / (high - low)
