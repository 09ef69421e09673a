"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key, PyTree

from gdl_jax.losses.likelihood import bernoulli_nll, kl_standard_normal, weighted_squared_error
from gdl_jax.steps.devices import split_batch
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network


@dataclass(frozen=True, kw_only=True)
class VAE:
    """Descends -ELBO = E_q(z|x)[-log p(x|z)] + KL(q(z|x) || N(0, 1)), Kingma and Welling 2014, eq. 3, one sample of z.

    Attributes:
        encoder: (images in [0, 1], train) -> (mean, log-variance) of q(z|x).
        decoder: (latents, train) -> logits of the pixels.
        optimizer: one for both networks.
        latent_size: length of a latent vector.
        likelihood: "bernoulli": the logits' cross-entropy with the pixels, summed over them, in nats. "squared_error":
            `reconstruction_weight` times the mean over the pixels of the squared error of sigmoid(logits), a Gaussian
            likelihood of fixed variance up to a constant (Foster, chapter 3).
        reconstruction_weight: of "squared_error" alone.
        kl_reduce: over the latent dimensions; see `kl_standard_normal`.
        kl_weight: beta of Higgins et al. 2017; 1 is the ELBO.
    """

    encoder: nn.Module
    decoder: nn.Module
    optimizer: optax.GradientTransformation
    latent_size: int = 2
    likelihood: Literal["bernoulli", "squared_error"] = "bernoulli"
    reconstruction_weight: float = 1000.0
    kl_reduce: Literal["sum", "mean"] = "sum"
    kl_weight: float = 1.0

    image_range = (0.0, 1.0)
    batches_per_step = 1

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        k_encoder, k_decoder = jax.random.split(key)
        latents = jnp.zeros((len(batch["image"]), self.latent_size))
        options = {"optimizer": self.optimizer, "train": False}
        return TrainState.create(
            {
                "encoder": init_network(self.encoder, k_encoder, batch["image"], **options),
                "decoder": init_network(self.decoder, k_decoder, latents, **options),
            }
        )

    def phases(self) -> tuple[Phase, ...]:
        """One joint update of both networks."""
        return (Phase(name="vae", trains=("encoder", "decoder"), loss=self._loss),)

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        optimizers = {"encoder": self.optimizer, "decoder": self.optimizer}
        return run_phases(self.phases(), optimizers, state, batches, key)

    def sample_latents(self, key: Key[Array, ""], num: int) -> Float[Array, "num latent"]:
        """Draws from the prior N(0, 1)."""
        return jax.random.normal(key, (num, self.latent_size))

    def decode(
        self, state: TrainState, latents: Float[Array, "num latent"]
    ) -> Float[Array, "num height width channels"]:
        """The means of p(x|z), in [0, 1]."""
        return jax.nn.sigmoid(self.decoder.apply(state.networks["decoder"].averaged(), latents, train=False))

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """The means of p(x|z) for z from the prior."""
        return self.decode(state, self.sample_latents(key, num))

    def encode(
        self, state: TrainState, images: Float[Array, "num height width channels"]
    ) -> Float[Array, "num latent"]:
        """The means of q(z|x)."""
        mean, _ = self.encoder.apply(state.networks["encoder"].averaged(), images, train=False)
        return mean

    def reconstruct(
        self, state: TrainState, images: Float[Array, "num height width channels"]
    ) -> Float[Array, "num height width channels"]:
        """Decoded from the mean of q(z|x)."""
        return self.decode(state, self.encode(state, images))

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """ELBO, reconstruction term and KL per example in nats, with one sample of z.

        The KL is summed over the latent dimensions and unweighted, whatever was trained. With "squared_error" the
        ELBO is one up to a constant.
        """
        images = batch["image"]
        mean, log_variance = self.encoder.apply(state.networks["encoder"].averaged(), images, train=False)
        latents = reparameterize(mean, log_variance, key)
        logits = self.decoder.apply(state.networks["decoder"].averaged(), latents, train=False)
        reconstruction, kl = self._negative_log_likelihood(logits, images), kl_standard_normal(mean, log_variance)
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}

    def _loss(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> tuple[Array, Outcome]:
        k_latent, k_encoder, k_decoder = jax.random.split(key, 3)
        images = batch["image"]
        (mean, log_variance), encoder_wrote = self._apply("encoder", params, state, images, k_encoder)
        latents = reparameterize(mean, log_variance, k_latent)
        logits, decoder_wrote = self._apply("decoder", params, state, latents, k_decoder)
        reconstruction = self._negative_log_likelihood(logits, images).mean()
        kl = kl_standard_normal(mean, log_variance, reduce=self.kl_reduce).mean()
        wrote = {"encoder": encoder_wrote, "decoder": decoder_wrote}
        return reconstruction + self.kl_weight * kl, Outcome(wrote, {"reconstruction": reconstruction, "kl": kl})

    def _apply(self, name: str, params: dict[str, PyTree], state: TrainState, x: Array, key: Array) -> tuple:
        """A network's output in training mode, and the collections that this wrote."""
        network = state.networks[name]
        return getattr(self, name).apply(
            network.variables(params[name]), x, train=True, mutable=list(network.collections), rngs={"dropout": key}
        )

    def _negative_log_likelihood(
        self, logits: Float[Array, "batch height width channels"], images: Float[Array, "batch height width channels"]
    ) -> Float[Array, " batch"]:
        if self.likelihood == "bernoulli":
            return bernoulli_nll(logits, images)
        return weighted_squared_error(jax.nn.sigmoid(logits), images, self.reconstruction_weight)


def reparameterize(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"], key: Key[Array, ""]
) -> Float[Array, "batch latent"]:
    """Z = mean + exp(log_variance / 2) * eps with eps ~ N(0, 1): Kingma and Welling 2014, eq. 10."""
    return mean + jnp.exp(0.5 * log_variance) * split_batch(jax.random.normal(key, mean.shape))
