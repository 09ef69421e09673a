"""A generator of latent vectors against a discriminator: Goodfellow et al. 2014 (arXiv:1406.2661)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from gdl_jax.losses.likelihood import dequantise
from gdl_jax.models.adversarial import AdversarialModel, Examples, with_labels
from gdl_jax.steps.devices import split_batch
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.recalibration import recalibrated
from gdl_jax.steps.state import TrainState

GreyLevels = Literal["given", "spread", "two"]


@dataclass(frozen=True, kw_only=True)
class GAN(AdversarialModel):
    """Images of latent vectors.

    Attributes:
        generator: (latents, train) -> images in `image_range`; (latents, labels, train) where there are classes.
        latent_size: length of a latent vector.
        latent_distribution: "normal" N(0, 1), "uniform" on [-1, 1], per element; "sphere" is normal, all of the length
            sqrt(latent_size).
        num_classes: 0 for a GAN without labels.
        drawn_classes: of which samples are drawn; () for all.
        grey_levels: of the real images that the discriminator gets: "given", 256; "spread" evenly up to the next one,
            as in Gulrajani's code, as those of generated images are; or "two", the ends of the range, which it is cut
            to at its middle.
        recalibration_batches: batches from which the averaged generator's statistics are taken anew for sampling; 0
            takes the running ones, which are of the parameters that are not averaged.
    """

    latent_size: int = 100
    latent_distribution: Literal["normal", "uniform", "sphere"] = "normal"
    num_classes: int = 0
    drawn_classes: tuple[int, ...] = ()
    grey_levels: GreyLevels = "given"
    recalibration_batches: int = 0

    def sample_latents(self, key: Key[Array, ""], num: int) -> Float[Array, "num latent"]:
        """Draws from the prior."""
        shape = (num, self.latent_size)
        if self.latent_distribution == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0)
        latents = jax.random.normal(key, shape)
        if self.latent_distribution == "sphere":
            latents *= jnp.sqrt(self.latent_size / jnp.square(latents).sum(axis=1, keepdims=True))
        return latents

    def decode(
        self, state: TrainState, latents: Float[Array, "num latent"], labels: Int[Array, " num"] | None = None
    ) -> Float[Array, "num height width channels"]:
        """The images of latent vectors, with averaged parameters if there are any.

        Args:
            state: of the model.
            latents: each gives an image.
            labels: of the images, where there are classes; None for one after the other of those that are drawn.
        """
        if labels is None:
            labels = self.labels_in_turn(len(latents))
        network = state.networks["generator"]
        variables = network.averaged()
        if self.recalibration_batches and network.collections:
            variables = recalibrated(self.generator, variables, self._calibration_inputs())
        return self.generator.apply(variables, *with_labels(latents, labels), train=False)

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Images of latent vectors from the prior; where there are classes, of one after the other."""
        return self.decode(state, self.sample_latents(key, num))

    def labels_in_turn(self, num: int) -> Int[Array, " {num}"] | None:
        """The classes of so many samples: one after the other of those that are drawn; None where there are none."""
        if not self.num_classes:
            return None
        drawn = jnp.array(self.drawn_classes or range(self.num_classes), jnp.int32)
        return drawn[jnp.arange(num) % len(drawn)]

    def sample_classes(
        self, state: TrainState, key: Key[Array, ""], labels: Int[Array, " num"]
    ) -> Float[Array, "num height width channels"]:
        """Images of given classes and of latent vectors from the prior."""
        return self.decode(state, self.sample_latents(key, len(labels)), labels)

    def _examples(self, batch: Batch, key: Array) -> Examples:
        latents = split_batch(self.sample_latents(key, len(batch["image"])))
        labels = batch["label"] if self.num_classes else None
        images, (low, high) = batch["image"], self.image_range
        if self.grey_levels == "spread":
            images = low + (high - low) * dequantise((images - low) / (high - low), jax.random.fold_in(key, 1))
        elif self.grey_levels == "two":
            images = jnp.where(images > (low + high) / 2, high, low)
        return Examples(with_labels(latents, labels), images, labels)

    def _calibration_inputs(self) -> list[tuple[Array, ...]]:
        """Always the same batches, so that a latent vector gives the same image whenever it is decoded."""
        keys = jax.random.split(jax.random.key(0), self.recalibration_batches)
        num = 8 * max(8, self.num_classes)
        labels = self.labels_in_turn(num)
        return [with_labels(self.sample_latents(key, num), labels) for key in keys]
