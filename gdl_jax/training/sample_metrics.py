"""The measures of `gdl_jax.metrics.suite` of a model's samples: the same while training and by the verb `evaluate`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int, UInt8

from gdl_jax.data.source import Source
from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.decoder import Decoder
from gdl_jax.metrics.feature_files import open_features
from gdl_jax.metrics.features import IMAGES_PER_CALL, Features, Seen
from gdl_jax.metrics.path_length import PathSettings
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.metrics.suite import best_of, check, measure
from gdl_jax.models.model import LatentModel, Model, Samples
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.program import draw_parts
from gdl_jax.training.settings import RunSettings

MAX_IMAGES = 10_000
"""Images of each side, at the most."""

Images = UInt8[np.ndarray, "num height width channels"]


@dataclass(frozen=True, kw_only=True)
class SampleMetrics:
    """Some measures of a model's samples against the test images.

    Attributes:
        model: that draws the samples.
        train: images that it is trained on.
        test: images that it is not.
        mesh: the devices.
        features: in which images are seen.
        names: of the measures.
        num: samples; None: as many as test images.
        seed: of the samples.
        path: how perceptual path length is measured.

    Raises:
        UsageError: the model draws no images, or the measures cannot be taken in these features or of so few images.
    """

    model: Model
    train: Source
    test: Source
    mesh: Mesh
    features: Features
    names: Sequence[str]
    num: int | None = None
    seed: int = 0
    path: PathSettings = PathSettings()

    def __post_init__(self):
        if not isinstance(self.model, Samples):
            raise UsageError("The model draws no images that could be measured; leave the metrics out.")
        numbers = {"samples": self.num_samples, "test images": min(len(self.test), MAX_IMAGES)}
        check(self.names, self.features, numbers, units=self.features.count(self.test.spec["image"].shape))

    @property
    def num_samples(self) -> int:
        """How many are drawn."""
        return min(len(self.test), MAX_IMAGES) if self.num is None else self.num

    @property
    def best(self) -> tuple[str, Literal["min", "max"]] | None:
        """The value, as `values` names it, by which a training can be judged, and its better end."""
        found = best_of(self.names)
        return None if found is None else (self._name(found[0]), found[1])

    @cached_property
    def _real(self) -> tuple[Images, Int[np.ndarray, " num"] | None]:
        chosen = np.arange(min(len(self.test), MAX_IMAGES))
        if "label" not in self.test.spec:
            return taken(self.test, chosen), None
        found = (self.test.take(part) for part in blocks(chosen, IMAGES_PER_CALL))
        return spilled((part["image"], part["label"]) for part in found)

    @cached_property
    def _looked(self) -> Seen:
        """Once for the whole of a training."""
        return self.features.look(self._real[0])

    @cached_property
    def _digest(self) -> str:
        """Of the test images, as they are compared."""
        found = hashlib.sha256()
        for part in blocks(self._real[0]):
            found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    @cached_property
    def _draw(self) -> Callable[..., Iterator[Images]]:
        return draw_parts(self.model, self.mesh)

    def results(
        self, state: TrainState, *, images: Literal["samples", "train"] = "samples", protocol: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Each value with how it was measured.

        Args:
            state: of the model.
            images: whose values: of samples, or of as many training images, which is the best that samples could do.
            protocol: what the caller knows of the run.

        Returns:
            name -> {"value": ..., "protocol": {...}}.
        """
        real, labels = self._real
        if images == "train":
            fake = taken(self.train, spread(self.train, self.num_samples))
        else:
            key = stream_key(self.seed, "evaluate samples")
            (fake,) = spilled((part,) for part in self._draw(state, key, self.num_samples))
        known = taken(self.train, np.arange(len(self.train))) if "memorisation" in self.names else None
        said = {
            "images": images,
            "seed": self.seed,
            "split": "test",
            "data_sha256": self._digest,
            "parameters": "averaged where the model keeps averages; batch norm by its running averages",
            **protocol,
        }
        decoder = decoder_of(self.model, state)
        sets = Sets(real, fake, self.features, known, labels, lambda: self._looked, decoder, self.path)
        return measure(sets, self.names, said)

    def values(self, state: TrainState) -> dict[str, float]:
        """{"test/digits_classifier_12345678/fid": ...}."""
        return {self._name(name): found["value"] for name, found in self.results(state, protocol={}).items()}

    def _name(self, name: str) -> str:
        return f"test/{self.features.name}/{name}"


def decoder_of(model: Model, state: TrainState) -> Decoder | None:
    """The model's map from latent vectors to images; None where it has none, or where it needs more than them."""
    if not isinstance(model, LatentModel) or not getattr(model, "codes_decode", True):
        return None
    low, high = model.image_range
    return Decoder(model.sample_latents, lambda latents: (model.decode(state, latents) - low) / (high - low))


def taken(source: Source, indices: Int[np.ndarray, " num"]) -> Images:
    """Images of a source, in a file; see `spilled`."""
    (images,) = spilled((source.take(part)["image"],) for part in blocks(indices, IMAGES_PER_CALL))
    return images


def spread(source: Source, num: int) -> Int[np.ndarray, " num"]:
    """The indices of so many training images, evenly spaced.

    Raises:
        UsageError: there are fewer.
    """
    if num > len(source):
        raise UsageError(f"There are only {len(source)} training images; set --num to so many or fewer.")
    return np.linspace(0, len(source) - 1, num).astype(int)


def metrics_of(model: Model, train: Source, test: Source, settings: RunSettings, mesh: Mesh) -> SampleMetrics | None:
    """What the settings `eval` ask for; None for nothing."""
    chosen = settings.eval
    if not chosen.every:
        return None
    data = settings.data.name
    features = default_features(data, mesh) if chosen.features == "default" else open_features(chosen.features, mesh)
    return SampleMetrics(
        model=model,
        train=train,
        test=test,
        mesh=mesh,
        features=features,
        names=chosen.metrics.split(","),
        num=chosen.num,
        seed=settings.seed,
    )
