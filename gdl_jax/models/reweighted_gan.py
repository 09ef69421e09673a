"""A GAN whose discriminator sees the more real images of a class, the fewer the generator makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gdl_jax.models.gan import GAN
from gdl_jax.steps.meters import Mean, Metrics
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import TrainState


@dataclass(frozen=True, kw_only=True)
class ReweightedGAN(GAN):
    """Real images of a class m are drawn with weights p(m) / (q(m) + epsilon): Valle, Hands-On GANs, chapter 5.

    p(m) is the class's share of the data, a running mean of the batches', and q(m) that of samples, at which a
    classifier looks every so many steps. Each batch is drawn anew from itself by these weights, with repetition. Where
    the generator has all shares right, the weights are equal, so that the data's shares stay the aim. What a batch does
    not have it cannot repeat: classes much rarer than one image of it stay rare.

    Attributes:
        classify: images in `image_range` -> logits of the classes.
        classes: how many; batches have "label".
        epsilon: in the weights, so that the one of a class that is missing stays finite.
        interval: steps between two looks at samples.
        looked_at: samples of a look.
        decay: of the running mean of p.
    """

    classify: Callable[[Float[Array, "num height width channels"]], Float[Array, "num classes"]]
    classes: int
    epsilon: float = 0.01
    interval: int = 100
    looked_at: int = 256
    decay: float = 0.99

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`; both shares begin equal, and the weights with them."""
        even = jnp.full(self.classes, 1 / self.classes)
        return super().init(key, batch).replace(extra={"real_shares": even, "fake_shares": +even})

    def weights(self, state: TrainState) -> Float[Array, " classes"]:
        """Of an image of each class."""
        return state.extra["real_shares"] / (state.extra["fake_shares"] + self.epsilon)

    def redrawn(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> Batch:
        """Each batch drawn from itself by the weights of its images, with repetition."""
        labels = batches["label"]
        log_weights = jnp.log(self.weights(state))[labels]
        chosen = jax.random.categorical(key, log_weights[:, None], shape=labels.shape)
        return {name: jax.vmap(lambda a, i: a[i])(array, chosen) for name, array in batches.items()}

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        k_step, k_draw, k_look = jax.random.split(key, 3)
        real, fake = (state.extra[name] for name in ("real_shares", "fake_shares"))
        state, metrics = super().step(state, self.redrawn(state, batches, k_draw), k_step)

        def look() -> Float[Array, " classes"]:
            return jax.nn.softmax(self.classify(self.sample(state, k_look, self.looked_at))).mean(axis=0)

        real = self.decay * real + (1 - self.decay) * jax.nn.one_hot(batches["label"], self.classes).mean(axis=(0, 1))
        fake = jax.lax.cond(state.step % self.interval == 0, look, lambda: fake)
        rarest = (fake / jnp.maximum(real, 1e-6)).min()
        means = metrics.means | {"reweighting/rarest_class": Mean.of(rarest)}
        return state.replace(extra={"real_shares": real, "fake_shares": fake}), metrics.replace(means=means)
