"""What every model can do, and what some can do beside it: all that training looks for in a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from jax import Array
from jaxtyping import Float, Int, Key

from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Phase
from gdl_jax.steps.state import TrainState


@runtime_checkable
class Model(Protocol):
    """A frozen dataclass of networks, losses and optimisers with pure methods. It holds no arrays.

    A batch is a dict of arrays with the batch axis first, of the names that the data have: see `ImageModel` for what
    becomes of images, and `Prepares` for what may become of anything.
    """

    batches_per_step: int

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """The state before the first step; of the batch only the shapes matter."""

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """One training step on `batches_per_step` batches: leaves of shape (batches_per_step, batch, ...)."""


@runtime_checkable
class ImageModel(Model, Protocol):
    """A model of images: "image" comes as float32 (batch, height, width, channels) scaled to `image_range`.

    Everything else comes as the data have it, such as "label" int32 (batch,).
    """

    image_range: tuple[float, float]


@runtime_checkable
class NamesImages(ImageModel, Protocol):
    """A model of other images than "image": all that it names are scaled, and all are mirrored alike."""

    image_keys: tuple[str, ...]


@runtime_checkable
class Prepares(Model, Protocol):
    """A model that makes its batches out of the arrays of the data by itself, inside the compiled step."""

    def prepare(self, batch: Batch, key: Key[Array, ""] | None) -> Batch:
        """What `init`, `step` and `evaluate` are given of a batch.

        Args:
            batch: as the data have it, with one axis before the example's own, or two in a step: see `step`.
            key: for random changes while training; None where the data are only looked at.
        """


@runtime_checkable
class Phased(Model, Protocol):
    """A model whose step is a list of phases, so that a fault can be told by the name of a parameter."""

    def phases(self) -> Sequence[Phase]:
        """In their order."""


@runtime_checkable
class Samples(ImageModel, Protocol):
    """A model that draws new images."""

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Draws images in `image_range`; the first of more are the same."""


@runtime_checkable
class SamplesClasses(Samples, Protocol):
    """A model that draws images of given classes, if it was trained on classes."""

    num_classes: int
    """0 for a model without them."""

    def sample_classes(
        self, state: TrainState, key: Key[Array, ""], labels: Int[Array, " num"]
    ) -> Float[Array, "num height width channels"]:
        """Draws an image of each class."""


@runtime_checkable
class NamesSamplers(Samples, Protocol):
    """A model some of whose networks draw the samples, and others do not."""

    sampling_networks: tuple[str, ...]


@runtime_checkable
class Averages(Model, Protocol):
    """A model that averages parameters."""

    ema_decay: float | None
    """Of the exponential moving average; None for none."""


@runtime_checkable
class Recalibrates(Samples, Protocol):
    """A model that may take the statistics of batch normalisation anew before it draws."""

    recalibration_batches: int
    """Of how many batches; 0 for not at all."""


@runtime_checkable
class Decodes(ImageModel, Protocol):
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
class Reconstructs(ImageModel, Protocol):
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
class Classifies(ImageModel, Protocol):
    """A model that tells classes of images apart."""

    def classify(self, state: TrainState, images: Array) -> Float[Array, "num classes"]:
        """Log-probabilities."""


@runtime_checkable
class Evaluates(Model, Protocol):
    """A model with measures of single examples."""

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> Mapping[str, Float[Array, " batch"]]:
        """One value per example and measure; the caller averages over the test set."""


@runtime_checkable
class Describes(Evaluates, Protocol):
    """A model that says how it measures."""

    def protocol(self) -> Mapping[str, str]:
        """A sentence under the name of each measure of `evaluate`."""
