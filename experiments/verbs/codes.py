"""What the verbs on codes share: their options, the run with its data encoded, and where pictures and numbers go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from experiments.verbs.opening import OnCheckpoint, Shelf, check_num, check_shelf, open_run
from gdl_jax.data.source import Source, Split, load
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.models.model import Decodes, Encodes, LatentModel
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState

IMAGES_AT_ONCE = 512

Codes = Float[np.ndarray, "num latent"]
Images = UInt8[np.ndarray, "num height width channels"]


@dataclass(frozen=True, kw_only=True)
class OnDecoder(OnCheckpoint):
    """A verb that decodes, and writes pictures."""

    seed: int = 0
    """Of the random numbers."""
    out: Path | None = None
    """Folder of the pictures (default: WORKDIR/samples, where the report finds them)."""


@dataclass(frozen=True, kw_only=True)
class OnCodes(OnDecoder):
    """A verb that encodes the run's data."""

    num: int = 5000
    """Images to encode, as far as there are so many."""
    split: Split = "test"
    """Which part of the data."""


@dataclass(frozen=True, eq=False)
class Coder(Shelf):
    """A run's model as functions of NumPy arrays.

    Attributes:
        seed: of the random numbers.
    """

    seed: int

    @property
    def name(self) -> str:
        """Of the experiment."""
        return self.run.saved["name"]

    @property
    def has_prior(self) -> bool:
        """Whether codes can be drawn; they are from N(0, 1)."""
        return isinstance(self.run.model, LatentModel)

    def encode(self, images: Images, *, sampled: bool = False) -> Codes:
        """The codes of images: means of q(z|x) where there is such, or with `sampled` draws from it.

        Raises:
            UsageError: there is no q(z|x) to draw from.
        """
        model, state = self.run.model, self.run.state
        if not sampled:
            return self._by_blocks(lambda x, _: model.encode(state, x), images)
        if not has_posterior(model):
            raise UsageError(f"A code of {self.name} has no noise, so none can be drawn; leave --sampled out.")

        def draw(x: jax.Array, key: jax.Array) -> jax.Array:
            mean, log_variance = model.posterior(state, x)
            return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)

        return self._by_blocks(draw, images)

    def decode(self, codes: Codes) -> Images:
        """The images of codes."""
        blocks = [codes[start : start + IMAGES_AT_ONCE] for start in range(0, len(codes), IMAGES_AT_ONCE)]
        decoded = [np.asarray(self._decode(self.run.state, block.astype(np.float32))) for block in blocks]
        return to_uint8(np.concatenate(decoded), self.run.model.image_range)

    def draw(self, num: int, stream: str) -> Codes:
        """Codes from the prior."""
        return np.asarray(self.run.model.sample_latents(stream_key(self.seed, stream), num))

    def say(self, numbers: Mapping[str, float]) -> None:
        """Prints what was measured."""
        for name, value in numbers.items():
            print(f"  {name:<48} {value:.4g}")

    @cached_property
    def _decode(self) -> Callable[[TrainState, Codes], jax.Array]:
        return jax.jit(self.run.model.decode)

    def _by_blocks(self, function: Callable[[jax.Array, jax.Array], jax.Array], images: Images) -> Codes:
        compiled = jax.jit(lambda x, key: function(scale(x, self.run.model.image_range), key))
        keys = stream_key(self.seed, "codes")
        found = [
            np.asarray(compiled(images[start : start + IMAGES_AT_ONCE], jax.random.fold_in(keys, start)))
            for start in range(0, len(images), IMAGES_AT_ONCE)
        ]
        return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Coded:
    """Images of a run's data, with their codes.

    Attributes:
        coder: encodes and decodes.
        source: of the data.
        examples: the chosen images, with their labels and attributes.
        codes: of the images.
        sampled: whether they were drawn from q(z|x).
    """

    coder: Coder
    source: Source
    examples: dict[str, np.ndarray]
    codes: Codes
    sampled: bool

    @property
    def images(self) -> Images:
        """The images themselves."""
        return self.examples["image"]

    @property
    def labels(self) -> Int[np.ndarray, " num"]:
        """The class of each image; 0 where there are none."""
        return self.examples["label"] if self.source.classes else np.zeros(len(self.images), np.int32)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; one for all where there are none."""
        return self.source.classes or ("images",)

    @property
    def words(self) -> str:
        """What was encoded, for a title."""
        kind = "codes drawn from q(z|x)" if self.sampled else "codes"
        return f"{kind} of {len(self.images):,} images of {self.coder.run.experiment.data.name}"


def has_posterior(model: object) -> bool:
    """Whether the model's codes are distributions."""
    return callable(getattr(model, "posterior", None))


def open_coder(options: OnDecoder) -> Coder:
    """Reads the model of a run.

    Raises:
        UsageError: it does not decode codes, or there is no such run.
    """
    run = open_run(options.workdir, options.checkpoint)
    name = run.saved["name"]
    if not isinstance(run.model, Decodes):
        raise UsageError(f"{name} decodes no codes; use sample or evaluate.")
    if not getattr(run.model, "codes_decode", True):
        raise UsageError(f"The decoder of this {name} needs more than a code, so codes cannot be decoded.")
    return Coder(run, check_shelf(options.out, options.workdir), options.seed)


def encodes(coder: Coder) -> bool:
    """Whether images have codes."""
    return isinstance(coder.run.model, Encodes)


def check_encodes(coder: Coder) -> None:
    """Raises a UsageError where images have no codes."""
    if not encodes(coder):
        raise UsageError(f"{coder.name} has no encoder, so its data have no codes; use sample, interpolate or sweep.")


def open_codes(options: OnCodes, *, sampled: bool | None = False) -> Coded:
    """Reads the model and encodes the data that the options choose; see `encode_data`."""
    check_num(options.num)
    return encode_data(open_coder(options), options.split, options.num, sampled=sampled)


def encode_data(coder: Coder, split: Split, num: int, *, sampled: bool | None = False) -> Coded:
    """`num` images of the run's data, chosen at random, and their codes.

    Args:
        coder: of the run.
        split: of the data.
        num: more than there are means all.
        sampled: draw from q(z|x); None: where there is such.

    Raises:
        UsageError: the model has no encoder, or no q(z|x).
    """
    check_encodes(coder)
    source = load(coder.run.experiment.data, split)
    generator = np.random.default_rng(coder.seed)
    chosen = np.sort(generator.choice(len(source), min(num, len(source)), replace=False))
    examples = source.take(chosen)
    if sampled is None:
        sampled = has_posterior(coder.run.model)
    return Coded(coder, source, examples, coder.encode(examples["image"], sampled=sampled), sampled)


def chosen_images(coder: Coder, split: Split, indices: tuple[int, ...]) -> Images:
    """Images of the run's data by their numbers.

    Raises:
        UsageError: there are not so many, or the model has no encoder.
    """
    check_encodes(coder)
    source = load(coder.run.experiment.data, split)
    wrong = [index for index in indices if not 0 <= index < len(source)]
    if wrong:
        raise UsageError(
            f"There is no image {wrong[0]} in the {split} data, which are numbered 0 to {len(source) - 1}."
        )
    return source.take(np.array(indices))["image"]
