"""What every model can do, and what some can do beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jax import Array
from jaxtyping import Float, Key

from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import TrainState


@runtime_checkable
class Model(Protocol):
    """A frozen dataclass of networks, losses and optimisers with pure methods. It holds no arrays.

    A batch is a dict of arrays with the batch axis first: "image" float32 (batch, height, width, channels) scaled to
    `image_range`, "label" int32 (batch,) where the data have labels, and what else the data set has.
    """

    image_range: tuple[float, float]
    batches_per_step: int

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """The state before the first step; of the batch only the shapes matter."""

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """One training step on `batches_per_step` batches: leaves of shape (batches_per_step, batch, ...)."""


@runtime_checkable
class Samples(Model, Protocol):
    """A model that draws new images."""

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Draws images in `image_range`."""


@runtime_checkable
class Decodes(Model, Protocol):
    """A model with a map from codes to images."""

    def decode(
        self, state: TrainState, latents: Float[Array, "num latent"]
    ) -> Float[Array, "num height width channels"]:
        """Images in `image_range`."""


@runtime_checkable
class LatentModel(Samples, Decodes, Protocol):
    """A model whose samples are decoded from latent vectors."""

    def sample_latents(self, key: Key[Array, ""], num: int) -> Float[Array, "num latent"]:
        """Draws from the prior."""


@runtime_checkable
class Reconstructs(Model, Protocol):
    """A model that makes images anew out of themselves."""

    def reconstruct(self, state: TrainState, images: Array) -> Array:
        """In `image_range`, without noise of the model's own."""


@runtime_checkable
class Encodes(Decodes, Reconstructs, Protocol):
    """A model that reconstructs images by way of codes."""

    def encode(self, state: TrainState, images: Array) -> Float[Array, "num latent"]:
        """The code of each image, without noise."""


@runtime_checkable
class Denoises(Reconstructs, Protocol):
    """A model whose reconstruction of a noisy image is the clean one."""

    def corrupt(self, images: Array, key: Key[Array, ""]) -> Array:
        """Images with the noise that it takes away."""


@runtime_checkable
class Classifies(Model, Protocol):
    """A model that tells classes apart."""

    def classify(self, state: TrainState, images: Array) -> Float[Array, "num classes"]:
        """Log-probabilities."""


@runtime_checkable
class Evaluates(Model, Protocol):
    """A model with measures of single examples."""

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> Mapping[str, Float[Array, " batch"]]:
        """One value per example and measure; the caller averages over the test set."""
