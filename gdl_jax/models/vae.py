"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key, PyTree

from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import (
    Bernoulli,
    Likelihood,
    free_bits,
    gaussian_nll,
    importance_bound,
    kl_per_dimension,
    kl_standard_normal,
)
from gdl_jax.steps.devices import split_batch
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network

Images = Float[Array, "num height width channels"]
Latents = Float[Array, "num latent"]


@dataclass(frozen=True, kw_only=True)
class VAE:
    """Descends -ELBO = E_q(z|x)[-log p(x|z)] + KL(q(z|x) || N(0, 1)), Kingma and Welling 2014, eq. 3, one sample of z.

    Attributes:
        encoder: (images in [0, 1], train) -> (mean, log-variance) of q(z|x).
        decoder: (latents, train) -> outputs (batch, height, width, outputs_per_channel * channels).
        optimizer: one for both networks.
        latent_size: length of a latent vector.
        likelihood: how the decoder's outputs are read.
        kl_reduce: over the latent dimensions; see `kl_standard_normal`.
        kl_weight: beta of Higgins et al. 2017; 1 is the ELBO.
        kl_warmup_steps: steps in which the weight of the KL rises from 0 to `kl_weight`, in a straight line (Bowman et
            al. 2016, Sonderby et al. 2016).
        free_bits: nats per latent dimension that the KL is not descended below; see `free_bits` in losses.
        importance_samples: above 1, samples of z in the bound of Burda et al. 2016, which is descended in place of the
            ELBO.
        evaluation_samples: samples of z in the estimate of log p(x) in `evaluate`; see `log_prob`.

    Raises:
        UsageError: an importance-weighted bound with a KL that is weighted or floored, for it has no KL term.
    """

    encoder: nn.Module
    decoder: nn.Module
    optimizer: optax.GradientTransformation
    latent_size: int = 2
    likelihood: Likelihood = field(default_factory=Bernoulli)
    kl_reduce: Literal["sum", "mean"] = "sum"
    kl_weight: float = 1.0
    kl_warmup_steps: int = 0
    free_bits: float = 0.0
    importance_samples: int = 1
    evaluation_samples: int = 4

    image_range = (0.0, 1.0)
    batches_per_step = 1
    sampling_networks = ("decoder",)

    def __post_init__(self):
        weighted = self.kl_reduce != "sum" or self.kl_weight != 1 or self.kl_warmup_steps or self.free_bits
        if self.importance_samples > 1 and weighted:
            raise UsageError(
                "The importance-weighted bound has no KL term that could be weighted; leave --kl-reduce, --kl-weight, "
                "--kl-warmup-steps and --free-bits as they are by default, or --importance-samples at 1."
            )

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

    def sample_latents(self, key: Key[Array, ""], num: int) -> Latents:
        """Draws from the prior N(0, 1)."""
        return jax.random.normal(key, (num, self.latent_size))

    def decode(self, state: TrainState, latents: Latents) -> Images:
        """The means of p(x|z), in [0, 1]."""
        return self.likelihood.mean(self._decode(state, latents))

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Images:
        """The means of p(x|z) for z from the prior."""
        return self.decode(state, self.sample_latents(key, num))

    def encode(self, state: TrainState, images: Images) -> Latents:
        """The means of q(z|x)."""
        return self.posterior(state, images)[0]

    def posterior(self, state: TrainState, images: Images) -> tuple[Latents, Latents]:
        """Mean and log-variance of q(z|x)."""
        return self.encoder.apply(state.networks["encoder"].averaged(), images, train=False)

    def reconstruct(self, state: TrainState, images: Images) -> Images:
        """Decoded from the mean of q(z|x)."""
        return self.decode(state, self.encode(state, images))

    def log_prob(
        self, state: TrainState, images: Images, key: Key[Array, ""], num_samples: int
    ) -> Float[Array, " num"]:
        """Estimate of log p(x) in nats: the bound of Burda et al. 2016, section 3, with `num_samples` samples of z.

        In expectation no more than log p(x), no less than the ELBO, and the closer to log p(x) the more samples. They
        are decoded one after the other, so that memory does not grow with their number.
        """
        k_target, k_samples = jax.random.split(key)
        mean, log_variance = self.posterior(state, images)
        targets = self.likelihood.targets(images, k_target)

        def log_weight(key: Array) -> Array:
            latents = reparameterize(mean, log_variance, key)
            nll = self.likelihood.nll(self._decode(state, latents), targets)
            return log_density_ratio(latents, mean, log_variance) - nll

        return importance_bound(jax.lax.map(log_weight, jax.random.split(k_samples, num_samples)))

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Per example, in nats: ELBO, reconstruction term and KL with one sample of z, and `log_prob` with several.

        The KL is summed over the latent dimensions and unweighted, whatever was trained. With `SquaredError` ELBO and
        log_prob are ones up to a constant; with the others the ELBO is also given in bits per dimension, under the
        name of the convention.
        """
        images = batch["image"]
        k_latent, k_targets, k_samples = jax.random.split(key, 3)
        mean, log_variance = self.posterior(state, images)
        latents = reparameterize(mean, log_variance, k_latent)
        targets = self.likelihood.targets(images, k_targets)
        reconstruction = self.likelihood.nll(self._decode(state, latents), targets)
        kl = kl_standard_normal(mean, log_variance)
        found = {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        found["log_prob"] = self.log_prob(state, images, k_samples, self.evaluation_samples)
        if self.likelihood.bits is not None:
            found[self.likelihood.bits] = self.likelihood.bits_per_dimension(-found["elbo"], images[0].size)
        return found

    def protocol(self) -> dict[str, str]:
        """How `evaluate` measures, under the name of each measure."""
        said = f"nats per image; likelihood: {self.likelihood.protocol}"
        found = {
            "elbo": f"one sample of z, {said}",
            "log_prob": f"importance-weighted bound on log p(x), {self.evaluation_samples} samples of z, {said}",
        }
        if self.likelihood.bits is not None:
            found[self.likelihood.bits] = (
                f"-ELBO over pixels, colours and ln 2; {self.likelihood.level_bits:g} bits added"
            )
        return found

    def _loss(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> tuple[Array, Outcome]:
        k_latent, k_encoder, k_decoder, k_targets = jax.random.split(key, 4)
        images, samples = batch["image"], self.importance_samples
        (mean, log_variance), encoder_wrote = self._apply("encoder", params, state, images, k_encoder)
        targets = self.likelihood.targets(images, k_targets)
        kl = kl_standard_normal(mean, log_variance, reduce=self.kl_reduce).mean()

        several = [jnp.repeat(x, samples, axis=0) for x in (targets, mean, log_variance)]
        latents = reparameterize(*several[1:], k_latent)
        outputs, decoder_wrote = self._apply("decoder", params, state, latents, k_decoder)
        nll = self._reconstruction(state, outputs, several[0])
        if samples > 1:
            log_weights = log_density_ratio(latents, *several[1:]) - nll
            loss = -importance_bound(log_weights.reshape(-1, samples).T).mean()
        else:
            loss = nll.mean() + self._kl_weight(state) * (self._floored(mean, log_variance) if self.free_bits else kl)
        wrote = {"encoder": encoder_wrote, "decoder": decoder_wrote}
        return loss, Outcome(wrote, {"reconstruction": nll.mean(), "kl": kl})

    def _reconstruction(self, state: TrainState, outputs: Array, targets: Images) -> Float[Array, " num"]:
        return self.likelihood.nll(outputs, targets)

    def _kl_weight(self, state: TrainState) -> float | Float[Array, ""]:
        if not self.kl_warmup_steps:
            return self.kl_weight
        return self.kl_weight * jnp.minimum(state.step / self.kl_warmup_steps, 1.0)

    def _floored(self, mean: Latents, log_variance: Latents) -> Float[Array, ""]:
        return getattr(free_bits(kl_per_dimension(mean, log_variance), self.free_bits), self.kl_reduce)()

    def _decode(self, state: TrainState, latents: Latents) -> Array:
        return self.decoder.apply(state.networks["decoder"].averaged(), latents, train=False)

    def _apply(self, name: str, params: dict[str, PyTree], state: TrainState, x: Array, key: Array) -> tuple:
        """A network's output in training mode, and the collections that this wrote."""
        return state.networks[name].apply_in_training(getattr(self, name), params[name], x, key=key)


def log_density_ratio(latents: Latents, mean: Latents, log_variance: Latents) -> Float[Array, " num"]:
    """Log p(z) - log q(z|x), with p = N(0, 1) and q = N(mean, exp(log_variance))."""
    return gaussian_nll(mean, latents, 0.5 * log_variance) - gaussian_nll(jnp.zeros_like(latents), latents, 0.0)


def reparameterize(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"], key: Key[Array, ""]
) -> Float[Array, "batch latent"]:
    """Z = mean + exp(log_variance / 2) * eps with eps ~ N(0, 1): Kingma and Welling 2014, eq. 10."""
    return mean + jnp.exp(0.5 * log_variance) * split_batch(jax.random.normal(key, mean.shape))
