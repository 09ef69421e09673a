"""A GAN of images with discrete values, through whose drawing no gradient goes: Hjelm et al. 2018, BGAN."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key, PyTree

from gdl_jax.losses.adversarial import policy_gradient
from gdl_jax.losses.likelihood import bernoulli_nll
from gdl_jax.models.adversarial import Losses, Made, Round
from gdl_jax.models.gan import GAN
from gdl_jax.steps.devices import split_batch
from gdl_jax.steps.phases import Batch, Outcome
from gdl_jax.steps.state import TrainState


@dataclass(frozen=True, kw_only=True)
class DiscreteGAN(GAN):
    """The generator gives every value's logit of being white; the discriminator sees black and white images drawn so.

    Hjelm et al. 2018 (arXiv:1702.08431), algorithm 1. The generator descends `policy_gradient`, its loss in `loss` is
    not used; the discriminator descends that of `loss` on one draw per latent vector (the paper: on all of them, the
    same in the mean). Images of the data are cut at the middle of the range.

    Attributes:
        draws: images drawn from each latent vector in the generator's phase; M of the paper.
    """

    draws: int = 20

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Black and white images, drawn."""
        k_latents, k_draw = jax.random.split(key)
        return _draw(self._logits(state, self.sample_latents(k_latents, num)), k_draw)

    def decode(
        self, state: TrainState, latents: Float[Array, "num latent"], labels: Int[Array, " num"] | None = None
    ) -> Float[Array, "num height width channels"]:
        """The mean of the images of each latent vector."""
        return jnp.tanh(self._logits(state, latents, labels) / 2)

    def _logits(self, state: TrainState, latents: Array, labels: Array | None = None) -> Array:
        return super().decode(state, latents, labels)

    def _generate(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> Losses:
        k_fake, k_draw, k_judge, k_views = jax.random.split(key, 4)
        _, logits, collections = super()._make(params["generator"], state, self._of_generator(batch), k_fake)
        # One image after the other of each latent vector, so that the batch axis stays the first.
        repeated = split_batch(jnp.repeat(logits, self.draws, axis=0))
        images = jax.lax.stop_gradient(_draw(repeated, k_draw))
        shown = self._seen(Round(images, images, None, state.step), k_views)
        said, _ = self._judge(state.networks["discriminator"].params, state, shown.fake, None, k_judge)
        shape = (len(logits), self.draws)
        judged = said.logits.reshape(shape)
        log_probability = -bernoulli_nll(repeated, (images + 1) / 2).reshape(shape)
        weights = jax.nn.softmax(judged, axis=1)
        metrics = {"effective_draws": (1 / jnp.square(weights).sum(axis=1)).mean()}
        return policy_gradient(judged, log_probability), Outcome({"generator": collections}, metrics)

    def _make(self, params: PyTree, state: TrainState, batch: Batch, key: Array) -> Made:
        made = super()._make(params, state, batch, key)
        # Apart from the two that the generator's making takes of this key.
        return made._replace(images=_draw(made.images, jax.random.split(key, 3)[2]))


def black_and_white(images: Array, key: Array, step: Array) -> Array:
    """-1 and 1, by the sign: a view for this model."""
    return jnp.where(images > 0, 1.0, -1.0)


def _draw(logits: Array, key: Array) -> Array:
    return jnp.where(jax.random.bernoulli(key, jax.nn.sigmoid(logits)), 1.0, -1.0)
