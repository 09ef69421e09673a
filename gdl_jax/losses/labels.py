"""What a discriminator is told that real and generated images are: smoothed, noisy and exchanged labels."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.shapes import check_same_shape


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels that are not quite 1 for real and 0 for generated images; the generator's loss is not concerned.

    An image of label t costs t l(real) + (1 - t) l(fake), with l what its logit costs as a real and as a generated one.
    For the cross-entropy that is the cross-entropy of t. For least squares it has the slope of 1/2 (logit - t b - (1 -
    t) a)^2, and for the critic of Wasserstein's loss the labels are weights 2t - 1. Relativistic losses have no labels.

    One-sided smoothing is real = (0.9, 0.9) (Salimans et al. 2016, section 3.4: smoothing generated images' labels
    too strengthens the discriminator's mistakes). A label above 1, such as real = (0.7, 1.2) of "How to train a GAN"
    (Chintala et al. 2016), rewards any confidence: the cross-entropy has no lower bound then.

    Attributes:
        real: the label of each real image is uniform between these two.
        fake: likewise of each generated image.
        flip: probability of exchanging t and 1 - t, for each image on its own.
        strength: of all of it, by step, from 1 (as said) to 0 (none); None for 1.
    """

    real: tuple[float, float] = (1.0, 1.0)
    fake: tuple[float, float] = (0.0, 0.0)
    flip: float = 0.0
    strength: optax.Schedule | None = None

    def discriminator_loss(
        self,
        loss: AdversarialLoss,
        real: Float[Array, "*logits"],
        fake: Float[Array, "*logits"],
        key: Key[Array, ""],
        step: Int[Array, ""],
    ) -> Float[Array, ""]:
        """What the discriminator pays for these logits under labels drawn anew.

        Raises:
            ValueError: the loss compares logits with each other; or the shapes differ.
        """
        check_same_shape(real=real, fake=fake)
        if loss.by_label is None:
            raise ValueError("A relativistic loss compares images with each other and has no labels to change.")
        k_real, k_fake = jax.random.split(key)
        strength = jnp.asarray(1.0 if self.strength is None else self.strength(step), jnp.float32)
        total = jnp.float32(0)
        for k, logits, span, plain in ((k_real, real, self.real, 1.0), (k_fake, fake, self.fake, 0.0)):
            label = self._draw(k, logits, span, plain, strength)
            total += (label * loss.by_label.real(logits) + (1 - label) * loss.by_label.fake(logits)).mean()
        return total

    def _draw(
        self, key: Array, logits: Array, span: tuple[float | Array, float | Array], plain: float, strength: Array
    ) -> Array:
        k_label, k_flip = jax.random.split(key)
        # One label per image, whatever the number of its patches.
        shape = (len(logits),) + (1,) * (logits.ndim - 1)
        low, high = span
        label = plain + strength * (jax.random.uniform(k_label, shape, minval=low, maxval=high) - plain)
        return jnp.where(jax.random.uniform(k_flip, shape) < strength * self.flip, 1 - label, label)
