"""A GAN of some classes of the data, whose discriminator learns from the others too: Cai, Doshi, Valle 2018."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, PyTree

from gdl_jax.models.adversarial import Examples, Losses, Round
from gdl_jax.models.gan import GAN
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import TrainState


@dataclass(frozen=True, kw_only=True)
class WantedGAN(GAN):
    """Real images that are not wanted take some of the generated ones' places; for where the wanted ones are few.

    Of Wasserstein's loss that makes Cai, Doshi, Valle 2018 (arXiv:1801.02384), eq. 6: mean f(other) and mean f(fake),
    weighted, minus mean f(wanted); see `three_sources`. The generator's loss is as it was. As many of each kind as a
    batch has images are drawn from it, with repetition. On a batch without wanted images the discriminator's loss is 0,
    so that nothing but its optimiser's momentum and its lazy regularisers move it; in one of nothing else the generated
    images keep their places.

    Attributes:
        wanted: the labels that the generator is to make images of; batches have "label".
        fake_weight: share of the places that generated images keep, from 0 to 1; a of the paper.
    """

    wanted: tuple[int, ...]
    fake_weight: float = 0.5

    def _examples(self, batch: Batch, key: Array) -> Examples:
        return super()._examples(_drawn(batch, self._is_wanted(batch), jax.random.fold_in(key, 2)), key)

    def _show(self, state: TrainState, batch: Batch, k_fake: Array, k_views: Array) -> Round:
        made = self._make(state.networks["generator"].params, state, batch, k_fake)
        kept = round(self.fake_weight * len(made.images))
        unwanted = ~self._is_wanted(batch)
        others = _drawn(batch, unwanted, jax.random.fold_in(k_fake, 1))["image"]
        others = jnp.where(unwanted.any(), others, made.images)
        fake = jnp.concatenate([made.images[:kept], others[kept:]])
        return self._seen(self._round(made, state.step)._replace(fake=fake), k_views)

    def _discriminate(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> Losses:
        loss, outcome = super()._discriminate(params, state, batch, key)
        return jnp.where(self._is_wanted(batch).any(), loss, 0.0), outcome

    def _is_wanted(self, batch: Batch) -> Bool[Array, " batch"]:
        return jnp.isin(batch["label"], jnp.array(self.wanted, jnp.int32))


def _drawn(batch: Batch, among: Bool[Array, " batch"], key: Array) -> Batch:
    """As many examples as before, each one of those that are meant; of all where there is none."""
    chosen = jax.random.categorical(key, jnp.where(among, 0.0, -1e9), shape=among.shape)
    return {name: jnp.take(array, chosen, axis=0) for name, array in batch.items()}
