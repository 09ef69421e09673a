"""A generator against a discriminator (Goodfellow et al. 2014); what differs between such GANs is in the fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key, PyTree

from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.penalties import Penalty
from gdl_jax.steps.devices import split_batch
from gdl_jax.steps.ema import update_ema
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, batches_per_step, run_phases
from gdl_jax.steps.state import TrainState, init_network


@dataclass(frozen=True, kw_only=True)
class GAN:
    """The alternating step: the discriminator (or critic) first, then the generator against the one just updated.

    Real and generated images pass through the discriminator in calls of their own, so that batch normalisation sees
    them apart (Radford et al. 2016); the generator normalises with the batch's statistics in both phases. Of the
    discriminator's collections those of its call on real images are kept, of the generator's those of its own phase.

    Attributes:
        generator: (latents, train) -> images in [-1, 1].
        discriminator: (images, train) -> logits, one or more per image.
        optimizers: for "generator" and "discriminator".
        loss: of the logits.
        latent_size: length of a latent vector.
        latent_distribution: "normal" N(0, 1), or "uniform" on [-1, 1], per element.
        penalty: on the discriminator's slope, added to its loss; None for none.
        penalty_weight: what it is multiplied by.
        discriminator_repeats: updates of the discriminator for one of the generator, each on a batch of its own.
        ema_decay: of the generator's averaged parameters, from which samples are drawn; None for no average.
    """

    generator: nn.Module
    discriminator: nn.Module
    optimizers: Mapping[str, optax.GradientTransformation]
    loss: AdversarialLoss
    latent_size: int = 100
    latent_distribution: Literal["normal", "uniform"] = "normal"
    penalty: Penalty | None = None
    penalty_weight: float = 0.0
    discriminator_repeats: int = 1
    ema_decay: float | None = None

    image_range = (-1.0, 1.0)

    @property
    def batches_per_step(self) -> int:
        """See `Model`."""
        return batches_per_step(self.phases())

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        latents = jnp.zeros((len(batch["image"]), self.latent_size))
        inputs = {"generator": latents, "discriminator": batch["image"]}
        networks = {
            name: init_network(
                getattr(self, name),
                jax.random.fold_in(key, i),
                x,
                optimizer=self.optimizers[name],
                averaged=name == "generator" and self.ema_decay is not None,
                train=False,
            )
            for i, (name, x) in enumerate(inputs.items())
        }
        return TrainState.create(networks)

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator's update and the generator's."""
        return (
            Phase(
                name="discriminator",
                trains=("discriminator",),
                loss=self._discriminate,
                repeats=self.discriminator_repeats,
            ),
            Phase(name="generator", trains=("generator",), loss=self._generate),
        )

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        state, metrics = run_phases(self.phases(), self.optimizers, state, batches, key)
        return (state if self.ema_decay is None else update_ema(state, self.ema_decay)), metrics

    def sample_latents(self, key: Key[Array, ""], num: int) -> Float[Array, "num latent"]:
        """Draws from the prior."""
        shape = (num, self.latent_size)
        if self.latent_distribution == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0)
        return jax.random.normal(key, shape)

    def decode(
        self, state: TrainState, latents: Float[Array, "num latent"]
    ) -> Float[Array, "num height width channels"]:
        """The images of latent vectors, with averaged parameters if there are any and running statistics."""
        return self.generator.apply(state.networks["generator"].averaged(), latents, train=False)

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Images of latent vectors from the prior."""
        return self.decode(state, self.sample_latents(key, num))

    def _discriminate(
        self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array
    ) -> tuple[Array, Outcome]:
        k_fake, k_on_real, k_on_fake, k_penalty, k_penalised = jax.random.split(key, 5)
        real = batch["image"]
        fake, _ = self._fake(state.networks["generator"].params, state, k_fake, len(real))
        on_real, collections = self._judge(params["discriminator"], state, real, k_on_real)
        on_fake, _ = self._judge(params["discriminator"], state, fake, k_on_fake)
        metrics = {"logit_real": on_real.mean(), "logit_fake": on_fake.mean()}
        loss = self.loss.discriminator(on_real, on_fake)
        if self.penalty is not None:
            penalty = self.penalty(
                lambda images: self._judge(params["discriminator"], state, images, k_penalised)[0],
                real,
                fake,
                k_penalty,
            )
            loss += self.penalty_weight * penalty
            metrics["penalty"] = penalty
        return loss, Outcome({"discriminator": collections}, metrics)

    def _generate(
        self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array
    ) -> tuple[Array, Outcome]:
        k_fake, k_on_real, k_on_fake = jax.random.split(key, 3)
        real = batch["image"]
        fake, collections = self._fake(params["generator"], state, k_fake, len(real))
        discriminator = state.networks["discriminator"].params
        # Only relativistic losses look at the real logits; for the others the compiler drops this call.
        on_real, _ = self._judge(discriminator, state, real, k_on_real)
        on_fake, _ = self._judge(discriminator, state, fake, k_on_fake)
        return self.loss.generator(on_real, on_fake), Outcome({"generator": collections})

    def _fake(self, params: PyTree, state: TrainState, key: Array, num: int) -> tuple[Array, PyTree]:
        """Generated images in training mode, and the collections that this wrote."""
        k_latent, k_dropout = jax.random.split(key)
        latents = split_batch(self.sample_latents(k_latent, num))
        return state.networks["generator"].apply_in_training(self.generator, params, latents, key=k_dropout)

    def _judge(self, params: PyTree, state: TrainState, images: Array, key: Array) -> tuple[Array, PyTree]:
        """Logits in training mode, and the collections that this wrote."""
        return state.networks["discriminator"].apply_in_training(self.discriminator, params, images, key=key)
