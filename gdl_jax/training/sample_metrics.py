"""The measures of `gdl_jax.metrics.suite` of a model's samples: the same while training and by the verb `evaluate`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float, Int, Key, UInt8

from gdl_jax.data.source import Source, Split
from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.decoder import Decode, Decoder
from gdl_jax.metrics.feature_files import open_features
from gdl_jax.metrics.features import IMAGES_PER_CALL, Features, Seen
from gdl_jax.metrics.measures import Given
from gdl_jax.metrics.order import some_of
from gdl_jax.metrics.path_length import PathSettings
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.metrics.suite import SOME, best_of, check, measure, shortage, suiting
from gdl_jax.models.model import Averages, LatentModel, Model, NamesSamplers, Recalibrates, Samples, SamplesClasses
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.program import draw_parts
from gdl_jax.training.settings import RunSettings

MAX_IMAGES = 10_000
"""Images of each side, at the most, where no other number is asked for."""

Images = UInt8[np.ndarray, "num height width channels"]
Whose = Literal["samples", "train", "test"]
NAMES: Mapping[Split, str] = {"train": "training images", "test": "test images"}


@dataclass(frozen=True, kw_only=True)
class SampleMetrics:
    """Some measures of a model's samples against images of the data.

    Attributes:
        model: that draws the samples.
        train: images that it is trained on.
        test: images that it is not.
        mesh: the devices.
        features: in which images are seen.
        names: of the measures.
        num: samples; None: as many as images of the data, 10,000 at the most.
        split: with which of the two samples are compared.
        num_real: so many of its images, at random; None: all, 10,000 at the most.
        seed: of the samples.
        path: how perceptual path length is measured.

    Raises:
        UsageError: the model draws no images, or it, the data or the features do not suit the measures.
    """

    model: Model
    train: Source
    test: Source
    mesh: Mesh
    features: Features
    names: Sequence[str]
    num: int | None = None
    split: Split = "test"
    num_real: int | None = None
    seed: int = 0
    path: PathSettings = PathSettings()

    def __post_init__(self):
        if not isinstance(self.model, Samples):
            raise UsageError("The model draws no images that could be measured; leave the metrics out.")
        real = self._source
        if self.num_real is not None and self.num_real > len(real):
            raise UsageError(f"There are only {len(real)} {NAMES[self.split]}; set --num-real to so many or fewer.")
        check(self.names, self._given)

    @property
    def _given(self) -> Given:
        real = self._source
        numbers = {"samples": self.num_samples, NAMES[self.split]: len(self._chosen)}
        some = real.take(self._chosen[:SOME])["image"]
        return Given(self.features, some, numbers, classes_of(real), self._decode is not None)

    def with_all(self) -> tuple[SampleMetrics, list[str]]:
        """All measures that suit every model and can be taken here, and why others are left out."""
        given = self._given
        short = {name: shortage(name, given) for name in suiting(self.features, given.classes)}
        return dataclasses.replace(self, names=[n for n in short if not short[n]]), list(filter(None, short.values()))

    @property
    def _source(self) -> Source:
        return {"train": self.train, "test": self.test}[self.split]

    @property
    def _chosen(self) -> Int[np.ndarray, " num"]:
        num = len(self._source)
        return some_of(num, min(num, MAX_IMAGES) if self.num_real is None else self.num_real)

    @property
    def num_samples(self) -> int:
        """How many are drawn."""
        return min(len(self._chosen), MAX_IMAGES) if self.num is None else self.num

    @property
    def best(self) -> tuple[str, Literal["min", "max"]] | None:
        """The value, as `values` names it, by which a training can be judged, and its better end."""
        found = best_of(self.names)
        return None if found is None else (self._name(found[0]), found[1])

    @cached_property
    def _real(self) -> Images:
        return taken(self._source, self._chosen)

    @property
    def _shares(self) -> Float[np.ndarray, " classes"] | None:
        """Of the classes in the whole split."""
        num_classes = classes_of(self._source)
        return shares_of(self._source, num_classes) if num_classes else None

    @cached_property
    def _looked(self) -> Seen:
        """Once for the whole of a training."""
        return self.features.look(self._real)

    @cached_property
    def _digest(self) -> str:
        """Of the test images, as they are compared."""
        found = hashlib.sha256()
        for part in blocks(self._real):
            found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    @cached_property
    def _draw(self) -> Callable[..., Iterator[Images]]:
        return draw_parts(self._drawn_from, self.mesh)

    @cached_property
    def _decode(self) -> Decode | None:
        """The model's map from latent vectors to images in [0, 1]; None where it has none."""
        model = self.model
        if not isinstance(model, LatentModel):
            return None
        low, high = model.image_range
        return lambda state, latents: (model.decode(state, latents) - low) / (high - low)

    @cached_property
    def _drawn_from(self) -> Samples:
        return drawing(self.model, self.train)

    def results(
        self, state: TrainState, *, images: Whose = "samples", protocol: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Each value with how it was measured.

        Args:
            state: of the model.
            images: whose values: of samples, or of as many images of the data, which is what samples could reach.
            protocol: what the caller knows of the run.

        Returns:
            name -> {"value": ..., "protocol": {...}}.

        Raises:
            UsageError: images of the data would be compared with themselves, or there are too few.
        """
        real = self._real
        if images == "samples":
            key = stream_key(self.seed, "evaluate samples")
            (fake,) = spilled((part,) for part in self._draw(state, key, self.num_samples))
        else:
            if images == self.split:
                raise UsageError(f"The {NAMES[images]} would be compared with themselves; set --split to the others.")
            source = {"train": self.train, "test": self.test}[images]
            num = min(self.num_samples, len(source)) if self.num is None else self.num
            if num > len(source):
                raise UsageError(f"There are only {len(source)} {NAMES[images]}; set --num to so many or fewer.")
            fake = taken(source, some_of(len(source), num))
        known = taken(self.train, np.arange(len(self.train))) if "memorisation" in self.names else None
        said = {
            "images": images,
            "seed": self.seed,
            "split": self.split,
            "choice_of_images": "all"
            if len(real) == len(self._source)
            else f"{len(real)} of {len(self._source)} at random (seed 0)",
            "data_sha256": self._digest,
            **(said_of_samples(self._drawn_from, state) if images == "samples" else {}),
            **protocol,
        }
        decoder = Decoder(self.model.sample_latents, self._decode, state) if self._decode else None
        looked, drawn = (lambda: self._looked), images == "samples"
        sets = Sets(real, fake, self.features, known, self._shares, looked, decoder, self.path, drawn)
        return measure(sets, self.names, said)

    def values(self, state: TrainState) -> dict[str, float]:
        """{"test/digits_classifier_12345678/fid": ...}."""
        return {self._name(name): found["value"] for name, found in self.results(state, protocol={}).items()}

    def _name(self, name: str) -> str:
        return f"test/{self.features.name}/{name}"


@dataclass(frozen=True)
class ClassesAsInData:
    """A model that is given classes, and draws them at random.

    One class after the other, as its own samples have them, every class would be exactly as frequent as every other:
    a spread over the classes that the model did not have to learn, and that no sample of the data has.

    Attributes:
        model: that draws images of given classes.
        shares: of each class, which add up to 1.
    """

    model: SamplesClasses
    shares: tuple[float, ...]

    @property
    def image_range(self) -> tuple[float, float]:
        """That of the model."""
        return self.model.image_range

    def sample(self, state: TrainState, key: Key[Array, ""], num: int) -> Float[Array, "num height width channels"]:
        """Images of random classes."""
        of_images, of_labels = jax.random.split(key)
        labels = jax.random.choice(of_labels, len(self.shares), (num,), p=jnp.array(self.shares, jnp.float32))
        return self.model.sample_classes(state, of_images, labels)


def drawing(model: Samples, train: Source) -> Samples | ClassesAsInData:
    """The model; one that is given classes draws them as often as the data that it was trained on have them."""
    if not has_classes(model) or not classes_of(train):
        return model
    return ClassesAsInData(model, tuple(shares_of(train, model.num_classes).tolist()))


def has_classes(model: Model) -> bool:
    """Whether samples are of classes that the model is given."""
    return isinstance(model, SamplesClasses) and model.num_classes > 0


def shares_of(source: Source, num_classes: int) -> Float[np.ndarray, " {num_classes}"]:
    """Of the classes in a source; they add up to 1."""
    return np.bincount(source.labels, minlength=num_classes) / len(source)


def classes_of(source: Source) -> int:
    """How many the images of a source have; 0 where they have none."""
    return len(source.classes) if "label" in source.spec else 0


def said_of_samples(drawn: Samples, state: TrainState) -> dict[str, str]:
    """For the protocol: which parameters draw samples, by what their batch norm normalises, which classes they draw.

    Args:
        drawn: see `drawing`.
        state: of the model.
    """
    model = drawn.model if isinstance(drawn, ClassesAsInData) else drawn
    names = model.sampling_networks if isinstance(model, NamesSamplers) else state.networks
    networks = [state.networks[name] for name in names]
    averaged = any(network.ema is not None for network in networks)
    normed = any("batch_stats" in network.collections for network in networks)
    batches = model.recalibration_batches if isinstance(model, Recalibrates) else 0
    anew = f"by statistics of {batches} batches of samples, taken anew with these parameters"
    decay = f", decay {model.ema_decay} after warm-up" if isinstance(model, Averages) else ""
    said = {
        "parameters": f"exponential moving average{decay}" if averaged else "of this step, no average",
        "batch_norm": (anew if batches else "by its running averages") if normed else "none",
        "rounding": "samples rounded to 8 bits, as the images of the data are",
    }
    if model is not drawn:
        said["classes_of_samples"] = "at random, as often as training images have them"
    elif has_classes(model):
        said["classes_of_samples"] = "one after the other"
    return said


def taken(source: Source, indices: Int[np.ndarray, " num"]) -> Images:
    """Images of a source, in a file; see `spilled`."""
    (images,) = spilled((source.take(part)["image"],) for part in blocks(indices, IMAGES_PER_CALL))
    return images


def metrics_of(model: Model, train: Source, test: Source, settings: RunSettings, mesh: Mesh) -> SampleMetrics | None:
    """What the settings `eval` ask for; None for nothing."""
    chosen = settings.eval
    if not chosen.every:
        return None
    data = settings.data.full_name
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
