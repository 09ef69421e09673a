"""A classifier: a network that gives every class a logit, trained by cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, Key, PyTree

from gdl_jax.losses.classification import softmax_cross_entropy
from gdl_jax.steps.augmentation import random_crop
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network

Images = Float[Array, "num height width channels"]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Descends the mean of -log p(label | image), p = softmax(logits).

    Attributes:
        network: (images in `image_range`, train, penultimate) -> logits, or what goes into its last layer.
        optimizer: of the network.
        image_range: of the pixels.
        label_smoothing: see `softmax_cross_entropy`; of training alone.
        crop_padding: training images are shifted by up to so many pixels; see `random_crop`.
    """

    network: nn.Module
    optimizer: optax.GradientTransformation
    image_range: tuple[float, float] = (-1.0, 1.0)
    label_smoothing: float = 0.0
    crop_padding: int = 0

    batches_per_step = 1

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        network = init_network(self.network, key, batch["image"], optimizer=self.optimizer, train=False)
        return TrainState.create({"classifier": network})

    def phases(self) -> tuple[Phase, ...]:
        """One update of the network."""
        return (Phase(name="classifier", trains=("classifier",), loss=self._loss),)

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        return run_phases(self.phases(), {"classifier": self.optimizer}, state, batches, key)

    def classify(self, state: TrainState, images: Images) -> Float[Array, "num classes"]:
        """Log-probabilities."""
        return jax.nn.log_softmax(self._logits(state, images))

    def features(self, state: TrainState, images: Images) -> Float[Array, "num units"]:
        """What goes into the network's last layer."""
        return self.network.apply(state.networks["classifier"].averaged(), images, train=False, penultimate=True)

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Per example: 1 where the most probable class is the right one, else 0; cross-entropy in nats, unsmoothed.

        Of more than ten classes also whether the right one is among the five most probable.
        """
        logits, labels = self._logits(state, batch["image"]), batch["label"]
        found = {"accuracy": is_right(logits, labels), "cross_entropy": softmax_cross_entropy(logits, labels)}
        return found | ({"top_5_accuracy": is_right(logits, labels, top=5)} if logits.shape[1] > 10 else {})

    def _logits(self, state: TrainState, images: Images) -> Float[Array, "num classes"]:
        return self.network.apply(state.networks["classifier"].averaged(), images, train=False)

    def _loss(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> tuple[Array, Outcome]:
        k_crop, k_dropout = jax.random.split(key)
        labels, images = batch["label"], random_crop(batch["image"], k_crop, self.crop_padding)
        network = state.networks["classifier"]
        logits, wrote = network.apply_in_training(self.network, params["classifier"], images, key=k_dropout)
        loss = softmax_cross_entropy(logits, labels, label_smoothing=self.label_smoothing).mean()
        return loss, Outcome({"classifier": wrote}, {"accuracy": is_right(logits, labels).mean()})


def is_right(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"], top: int = 1
) -> Float[Array, " batch"]:
    """1 where the label is among the `top` classes of the greatest logits, else 0."""
    # A batch that is split over devices stays so under argmax, and has to be gathered for top_k.
    classes = logits.argmax(axis=1, keepdims=True) if top == 1 else jax.lax.top_k(logits, top)[1]
    return (classes == labels[:, None]).any(axis=1).astype(jnp.float32)
