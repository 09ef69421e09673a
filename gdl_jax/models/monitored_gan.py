"""A GAN of which is measured, on images that it is not trained on, what its discriminator says and how steep it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gdl_jax.losses.penalties import points_between, squared_slopes
from gdl_jax.models.adversarial import with_labels
from gdl_jax.models.gan import GAN
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import TrainState


@dataclass(frozen=True, kw_only=True)
class MonitoredGAN(GAN):
    """What the discriminator says of test images and of samples, and its slope between them: see `protocol`.

    Logits of test images below those of training images ("discriminator/logit_real") tell that it learns the training
    images by heart; only of a discriminator without batch norm, dropout and views, which are there as in training. The
    slope tells that a critic of the Wasserstein distance is no longer 1-Lipschitz, or is far below.
    """

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> Mapping[str, Float[Array, " batch"]]:
        """See `Evaluates`."""
        real, labels = batch["image"], batch["label"] if self.num_classes else None
        k_latent, k_between = jax.random.split(key)
        fake = self.decode(state, self.sample_latents(k_latent, len(real)), labels)
        variables = state.networks["discriminator"].variables()

        def logits(images: Array) -> Float[Array, " batch"]:
            said = self.discriminator.apply(variables, *with_labels(images, labels), train=False)
            said = said if self.class_terms is None else said[0]
            return said.reshape(len(images), -1).mean(axis=1)

        return {
            "logit_real": logits(real),
            "logit_fake": logits(fake),
            "slope": jnp.sqrt(squared_slopes(logits, points_between(real, fake, k_between))),
        }

    def protocol(self) -> dict[str, str]:
        """What each measure is."""
        how = "in evaluation mode, without what training does to its images"
        return {
            "logit_real": f"mean logit of the discriminator, {how}, of the test images",
            "logit_fake": "the same of as many samples, with averaged parameters where the model keeps them",
            "slope": "mean over pairs of a test image and a sample of |grad D|, Euclidean, of images in "
            f"[{self.image_range[0]:g}, {self.image_range[1]:g}], at one random point between the two",
        }
