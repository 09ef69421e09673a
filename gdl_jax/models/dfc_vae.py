"""The deep feature consistent variational autoencoder (Hou et al. 2017, arXiv:1610.00291)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import kl_standard_normal
from gdl_jax.losses.perceptual import FeatureMaps, feature_perceptual_loss
from gdl_jax.models.vae import VAE, Images
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import NetworkState, TrainState


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that is not trained, in whose feature maps images are compared.

    Attributes:
        apply: (variables, images in [0, 1]) -> one map per layer.
        load: gives the variables, {"params": ..., other collections}.
        description: what it is, for the protocol of measures.
    """

    apply: Callable[[dict[str, Any], Array], FeatureMaps]
    load: Callable[[], dict[str, Any]]
    description: str


@dataclass(frozen=True, kw_only=True)
class DFCVAE(VAE):
    """A VAE whose reconstruction term is `feature_weight` times `feature_perceptual_loss`, and no likelihood.

    There is no term of the pixels. The feature network is part of the state, frozen; gradients go through it to the
    decoder.

    Attributes:
        features: where reconstructions and images are compared.
        feature_weight: beta of Hou et al. (0.5 with VGG-19 of the authors' weights); the KL has `kl_weight`, their
            alpha. It has to suit the size of the features.

    Raises:
        UsageError: an importance-weighted bound, which needs a likelihood.
    """

    features: FeatureNetwork
    feature_weight: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        if self.importance_samples > 1:
            raise UsageError(
                "A loss of features is no likelihood that could be weighted; leave --importance-samples at 1."
            )

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        state = super().init(key, batch)
        variables = jax.tree.map(jnp.asarray, self.features.load())
        frozen = NetworkState(variables.pop("params"), variables, (), None)
        return state.replace(networks={**state.networks, "features": frozen})

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Per example, of the reconstruction from the mean of q(z|x): the objective and its terms, and pixel errors.

        "objective" is feature_weight times "feature_error" plus kl_weight times "kl", which is summed over the latent
        dimensions; "mse" is the mean over the pixels.
        """
        images = batch["image"]
        mean, log_variance = self.posterior(state, images)
        decoded = self.decode(state, mean)
        error = self._feature_error(state, decoded, images)
        kl = kl_standard_normal(mean, log_variance)
        return {
            "objective": self.feature_weight * error + self.kl_weight * kl,
            "feature_error": error,
            "kl": kl,
            "mse": jnp.square(decoded - images).mean(axis=(1, 2, 3)),
        }

    def protocol(self) -> dict[str, str]:
        """How `evaluate` measures, under the name of each measure."""
        weights = f"{self.feature_weight:g} times the feature error, {self.kl_weight:g} times the KL in nats"
        return {
            "objective": weights,
            "feature_error": f"features: {self.features.description}",
        }

    def log_prob(self, state: TrainState, images: Images, key: Key[Array, ""], num_samples: int) -> Array:
        """Raises UsageError: there is no likelihood."""
        raise UsageError(
            "A deep feature consistent VAE has no likelihood, so it cannot tell the probability of an image."
        )

    def _reconstruction(self, state: TrainState, outputs: Array, targets: Images) -> Float[Array, " num"]:
        return self.feature_weight * self._feature_error(state, self.likelihood.mean(outputs), targets)

    def _feature_error(self, state: TrainState, decoded: Images, images: Images) -> Float[Array, " num"]:
        variables = state.networks["features"].variables()
        return feature_perceptual_loss(*(self.features.apply(variables, x) for x in (decoded, images)))
