"""Pictures and measures of a state, the same while training and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int, UInt8

from gdl_jax.data.source import Source
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.metrics.classification import confusion_matrix
from gdl_jax.metrics.features import PIXELS, Features
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.measures import MEASURES
from gdl_jax.metrics.order import some_of
from gdl_jax.models.model import Classifies, Denoises, Describes, Evaluates, Model, Reconstructs, Samples
from gdl_jax.pictures.classes import confusion_picture, predictions_grid
from gdl_jax.pictures.grid import grid, rows
from gdl_jax.steps.devices import local_rows, put, replicated, split_along, whole_batch
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.program import (
    Evaluator,
    Reconstructor,
    Sampler,
    make_evaluator,
    make_reconstructor,
    make_sampler,
    prepare,
)
from gdl_jax.training.sample_metrics import MAX_IMAGES, drawing
from gdl_jax.training.settings import RunSettings

RECONSTRUCTIONS = 10


def padded_batches(
    source: Source, batch_size: int, rows: slice
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """All examples in order in batches of one size; the last is filled up with the first example.

    Yields:
        This process's rows of a batch, and the weight (batch_size,) of every example of it: 1, or 0 for filling.
    """
    for start in range(0, len(source), batch_size):
        indices = np.arange(start, start + batch_size)
        weights = (indices < len(source)).astype(np.float64)
        yield source.take(np.where(weights > 0, indices, 0)[rows]), weights


def evaluate_examples(
    measure: Evaluator, state: TrainState, source: Source, *, batch_size: int, seed: int, mesh: Mesh
) -> dict[str, float]:
    """The mean of every measure of a model over the whole source, in float64; see `make_evaluator`."""
    totals: dict[str, float] = {}
    count = 0.0
    batch_size = whole_batch(batch_size, mesh)
    batches = padded_batches(source, batch_size, local_rows(batch_size, mesh))
    for number, (batch, weights) in enumerate(batches):
        placed = put(dict(batch), split_along(mesh, 0))
        found = measure(state, placed, stream_key(seed, "evaluate", number))
        for name, values in found.items():
            totals[name] = totals.get(name, 0.0) + float(np.asarray(values, np.float64) @ weights)
        count += weights.sum()
    return {name: float(total / count) for name, total in totals.items()}


def numbers(train: Source, test: Source, features: Features, num: int) -> dict[str, int]:
    """How many images each distance in such features takes of either side; without those for which they are too few.

    Of fewer images than `metrics.suite` asks for the covariances lack directions, and noise may be nearer than data.
    """
    num = min(len(test), num)
    of_samples = f"frechet_{features.name}"
    found = {of_samples: num, f"{of_samples}_of_training_images": min(num, len(train))}
    least = least_images(test, features)
    return {name: count for name, count in found.items() if count >= least}


def least_images(test: Source, features: Features) -> int:
    """Of each side, for a Frechet distance."""
    return MEASURES["fid"].least(features.count(test.spec["image"].shape))


def evaluate_samples(
    sample: Sampler,
    state: TrainState,
    train: Source,
    test: Source,
    *,
    seed: int,
    features: Sequence[Features] = (PIXELS,),
    num: int = MAX_IMAGES,
) -> dict[str, float]:
    """How far samples are from the test images, and, as the mark to compare it with, how far training images are.

    Protocol: as many samples as test images (at the most `num`), key stream "evaluate samples"; see `protocol`. What
    too few images tell nothing of is left out; see `numbers`.
    """
    counted = [(each, found) for each in features if (found := numbers(train, test, each, num))]
    if not counted:
        return {}
    num = min(len(test), num)
    wanted = test.take(some_of(len(test), num))["image"]
    drawn = sample(state, stream_key(seed, "evaluate samples"), num)
    known = train.take(some_of(len(train), min(num, len(train))))["image"]
    distances = {}
    for each, found in counted:
        of_test = moments(each.of(wanted))
        for name in found:
            images = known if name.endswith("_of_training_images") else drawn
            distances[name] = frechet_distance(moments(each.of(images)), of_test)
    return distances


def protocol(train: Source, test: Source, features: Sequence[Features], num: int = MAX_IMAGES) -> dict[str, str]:
    """How `evaluate_samples` measures, under the name of each measure."""
    found = {}
    for each in features:
        for name, count in numbers(train, test, each, num).items():
            found[name] = (
                f"the same with {count} training images, drawn at random, for samples"
                if name.endswith("_of_training_images")
                else f"Frechet distance between Gaussians fitted to the features of {count} samples and of {count} "
                f"test images, at random; features: {each.description}; samples with averaged parameters where the "
                "model keeps them, and where it is given classes as often of each as training images are"
            )
    return found


@dataclass(frozen=True)
class Observer:
    """Looks at a state: its pictures and its measures. All processes look together."""

    model: Model
    train: Source
    test: Source
    settings: RunSettings
    mesh: Mesh
    features: tuple[Features, ...] = (PIXELS,)
    """In which samples are compared with images."""

    @cached_property
    def sample(self) -> Sampler:
        """Draws uint8 images."""
        return make_sampler(self.model, self.mesh)

    @cached_property
    def _sample_as_data(self) -> Sampler:
        """Classes as often as the data have them: a picture shows one after the other, a distance must not."""
        drawn = drawing(self.model, self.train)
        return self.sample if drawn is self.model else make_sampler(drawn, self.mesh)

    @cached_property
    def _measure(self) -> Evaluator:
        return make_evaluator(self.model, self.mesh)

    @cached_property
    def reconstruct(self) -> Reconstructor:
        """Reconstructs uint8 images."""
        return make_reconstructor(self.model, self.mesh)

    def pictures(self, state: TrainState) -> dict[str, UInt8[np.ndarray, "height width channels"]]:
        """Grids from latents, and of test images, that stay the same over the run."""
        pictures = {}
        if isinstance(self.model, Samples):
            samples = self.sample(state, stream_key(self.settings.seed, "sample"), self.settings.num_samples)
            pictures["samples"] = grid(samples)
        if isinstance(self.model, Reconstructs):
            images = self.test.take(np.arange(min(RECONSTRUCTIONS, len(self.test))))["image"]
            pictures["reconstructions"] = rows(images, self.reconstruct(state, images))
            if isinstance(self.model, Denoises):
                noisy = self.corrupt(images)
                pictures["restorations"] = rows(images, noisy, self.reconstruct(state, noisy))
        if isinstance(self.model, Classifies):
            classes = self.test.classes
            labels, predictions = self.predict(state)
            chosen = np.linspace(0, len(labels) - 1, min(self.settings.num_samples, len(labels))).astype(int)
            images = self.test.take(chosen)["image"]
            pictures["predictions"] = predictions_grid(images, labels[chosen], predictions[chosen], classes)
            pictures["confusion"] = confusion_picture(confusion_matrix(labels, predictions, len(classes)), classes)
        return pictures

    def corrupt(
        self, images: UInt8[np.ndarray, "num height width channels"]
    ) -> UInt8[np.ndarray, "num height width channels"]:
        """The same noise on the same images whenever it is called."""
        noisy = self._corrupt(put(images, replicated(self.mesh)), stream_key(self.settings.seed, "corrupt"))
        return to_uint8(np.asarray(noisy), self.model.image_range)

    @cached_property
    def _corrupt(self) -> Callable[[Array, Array], Array]:
        model = self.model
        return jax.jit(
            lambda images, key: model.corrupt(scale(images, model.image_range), key),
            out_shardings=replicated(self.mesh),
        )

    def predict(self, state: TrainState) -> tuple[Int[np.ndarray, " num"], Int[np.ndarray, " num"]]:
        """Labels and most probable classes of the test images."""
        batch_size = whole_batch(self.settings.batch_size, self.mesh)
        found = [
            np.asarray(self._classify(state, put(dict(batch), split_along(self.mesh, 0))))
            for batch, _ in padded_batches(self.test, batch_size, local_rows(batch_size, self.mesh))
        ]
        return tuple(np.concatenate(found, axis=1)[:, : len(self.test)])

    @cached_property
    def _classify(self) -> Callable[[TrainState, Batch], Int[Array, "2 batch"]]:
        model = self.model

        def classify(state: TrainState, batch: Batch) -> Int[Array, "2 batch"]:
            scores = model.classify(state, prepare(batch, model)["image"])
            return jnp.stack([batch["label"], scores.argmax(axis=1)])

        return jax.jit(classify, out_shardings=replicated(self.mesh))

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """Everything that can be measured of this model: {"test/elbo": ..., "test/frechet_pixels": ...}."""
        seed, batch_size = self.settings.seed, self.settings.batch_size
        found = {}
        if isinstance(self.model, Samples):
            draw = self._sample_as_data
            num = self.settings.evaluate_samples
            found |= evaluate_samples(draw, state, self.train, self.test, seed=seed, features=self.features, num=num)
        if isinstance(self.model, Evaluates):
            found |= evaluate_examples(
                self._measure, state, self.test, batch_size=batch_size, seed=seed, mesh=self.mesh
            )
        return {f"test/{name}": value for name, value in found.items()}

    def protocol(self) -> dict[str, str]:
        """How samples are measured, and what the model says of its own measures, under the names of `evaluate`."""
        found = dict(self.model.protocol()) if isinstance(self.model, Describes) else {}
        if isinstance(self.model, Samples):
            found |= protocol(self.train, self.test, self.features, self.settings.evaluate_samples)
        return {f"test/{name}": text for name, text in found.items()}

    def left_out(self) -> list[str]:
        """A sentence for each distance that is not taken, because the images are too few for it."""
        num = min(len(self.test), self.settings.evaluate_samples)
        if not isinstance(self.model, Samples) or not num:
            return []
        return [
            f"no test/frechet_{each.name}: it needs {least} images of each side, and there are {num} test images; "
            "evaluate --metrics kid,prdc needs fewer"
            for each in self.features
            if num < (least := least_images(self.test, each))
        ]
