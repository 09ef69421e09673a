"""Pictures and measures of a state, the same while training and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from gdl_jax.data.source import Source
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.pixels import FEATURES, pixel_features
from gdl_jax.models.model import Evaluates, Model, Reconstructs
from gdl_jax.pictures.grid import grid, rows
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.program import Reconstructor, Sampler, make_reconstructor, make_sampler, prepare
from gdl_jax.training.settings import RunSettings
from gdl_jax.training.sharding import local_rows, put, replicated, split_along

PROTOCOL = {
    "test/frechet_pixels": (
        "Frechet distance between Gaussians fitted to 8x8 cell means of the pixels in [0, 1], of as many samples as "
        "test images, 10,000 at the most; samples with averaged parameters where the model keeps them"
    ),
    "test/frechet_pixels_of_training_images": "the same with as many training images, evenly spaced, for samples",
}
RECONSTRUCTIONS = 10
MAX_IMAGES = 10_000
"""Images of each side in a Frechet distance, at the most."""


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
    model: Evaluates, state: TrainState, source: Source, *, batch_size: int, seed: int, mesh: Mesh
) -> dict[str, float]:
    """The mean of every measure of `model.evaluate` over the whole source, in float64."""
    measure = jax.jit(
        lambda state, batch, key: dict(model.evaluate(state, prepare(batch, model), key)),
        out_shardings=replicated(mesh),
    )
    totals: dict[str, float] = {}
    count = 0.0
    batches = padded_batches(source, batch_size, local_rows(batch_size, mesh))
    for number, (batch, weights) in enumerate(batches):
        placed = put(dict(batch), split_along(mesh, 0))
        found = measure(state, placed, stream_key(seed, "evaluate", number))
        for name, values in found.items():
            totals[name] = totals.get(name, 0.0) + float(np.asarray(values, np.float64) @ weights)
        count += weights.sum()
    return {name: float(total / count) for name, total in totals.items()}


def evaluate_samples(sample: Sampler, state: TrainState, train: Source, test: Source, *, seed: int) -> dict[str, float]:
    """How far samples are from the test images, and, as the mark to compare it with, how far training images are.

    Protocol: `pixel_features`, as many samples as test images (at the most 10,000), key stream "evaluate samples".
    """
    num = min(len(test), MAX_IMAGES)

    def features_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return moments(pixel_features(images))

    wanted = features_of(test.take(np.arange(num))["image"])
    drawn = features_of(sample(state, stream_key(seed, "evaluate samples"), num))
    known = features_of(train.take(np.linspace(0, len(train) - 1, min(num, len(train))).astype(int))["image"])
    return {
        f"frechet_{FEATURES}": frechet_distance(drawn, wanted),
        f"frechet_{FEATURES}_of_training_images": frechet_distance(known, wanted),
    }


@dataclass(frozen=True)
class Observer:
    """Looks at a state: its pictures and its measures. All processes look together."""

    model: Model
    train: Source
    test: Source
    settings: RunSettings
    mesh: Mesh

    @cached_property
    def sample(self) -> Sampler:
        """Draws uint8 images."""
        return make_sampler(self.model, self.mesh)

    @cached_property
    def reconstruct(self) -> Reconstructor:
        """Encodes and decodes uint8 images."""
        return make_reconstructor(self.model, self.mesh)

    def pictures(self, state: TrainState) -> dict[str, UInt8[np.ndarray, "height width channels"]]:
        """Grids from latents, and of test images, that stay the same over the run."""
        samples = self.sample(state, stream_key(self.settings.seed, "sample"), self.settings.num_samples)
        pictures = {"samples": grid(samples)}
        if isinstance(self.model, Reconstructs):
            images = self.test.take(np.arange(min(RECONSTRUCTIONS, len(self.test))))["image"]
            pictures["reconstructions"] = rows(images, self.reconstruct(state, images))
        return pictures

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """Everything that can be measured of this model: {"test/elbo": ..., "test/frechet_pixels": ...}."""
        seed, batch_size = self.settings.seed, self.settings.batch_size
        found = evaluate_samples(self.sample, state, self.train, self.test, seed=seed)
        if isinstance(self.model, Evaluates):
            found |= evaluate_examples(self.model, state, self.test, batch_size=batch_size, seed=seed, mesh=self.mesh)
        return {f"test/{name}": value for name, value in found.items()}
