"""What the verbs on codes share: their options, the run with its data encoded, and where pictures and numbers go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from experiments.verbs.opening import Images, OnCheckpoint, Opened, Shelf, check_num, check_shelf, open_run
from gdl_jax.data.source import Source, Split, load
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.metrics.order import some_of
from gdl_jax.models.model import Decodes, Encodes, LatentModel
from gdl_jax.models.vae import reparameterize
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState

IMAGES_AT_ONCE = 512

Codes = Float[np.ndarray, "num latent"]


@dataclass(frozen=True, kw_only=True)
class OnDecoder(OnCheckpoint):
    """A verb that decodes, and writes pictures."""

    seed: int = 0
    """Of the random numbers."""
    out: Path | None = None
    """Folder of the pictures (default: WORKDIR/samples, where the report finds them)."""
    label: str | None = None
    """Class of all decoded images, by its name or number, where the model is given classes (default: the first)."""


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
        label: the class of all images, where the model is given classes.
    """

    seed: int
    label: int | None = None

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
        check_posterior(self.run)
        return self._by_blocks(lambda x, key: reparameterize(*model.posterior(state, x), key), images)

    def decode(self, codes: Codes) -> Images:
        """The images of codes."""
        blocks = [codes[start : start + IMAGES_AT_ONCE] for start in range(0, len(codes), IMAGES_AT_ONCE)]
        decoded = [np.asarray(self._decode(self.run.state, block.astype(np.float32))) for block in blocks]
        return to_uint8(np.concatenate(decoded), self.run.model.image_range)

    def images_of(self, state: TrainState, codes: jax.Array) -> jax.Array:
        """The images of codes in the model's range, all of one class where it is given classes."""
        labels = () if self.label is None else (jnp.full(len(codes), self.label),)
        return self.run.model.decode(state, codes, *labels)

    def draw(self, num: int, stream: str) -> Codes:
        """Codes from the prior."""
        return np.asarray(self.run.model.sample_latents(stream_key(self.seed, stream), num))

    def say(self, numbers: Mapping[str, float]) -> None:
        """Prints what was measured."""
        for name, value in numbers.items():
            print(f"  {name:<48} {value:.4g}")

    @cached_property
    def _decode(self) -> Callable[[TrainState, Codes], jax.Array]:
        return jax.jit(self.images_of)

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


def check_posterior(run: Opened) -> None:
    """Raises a UsageError where a code has no distribution that it could be drawn from."""
    if not has_posterior(run.model):
        raise UsageError(f"A code of {run.saved['name']} has no noise, so none can be drawn; leave --sampled out.")


def open_coder(options: OnDecoder) -> Coder:
    """Reads the model of a run.

    Raises:
        UsageError: it does not decode codes, or there is no such run.
    """
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    name = run.saved["name"]
    if not isinstance(run.model, Decodes):
        raise UsageError(f"{name} decodes no codes; use sample or evaluate.")
    if not getattr(run.model, "codes_decode", True):
        raise UsageError(f"The decoder of this {name} needs more than a code, so codes cannot be decoded.")
    wanted = () if options.label is None else (options.label,)
    label = next(iter(run.drawn_classes(wanted, "--label")), None)
    return Coder(run, check_shelf(options.out, options.workdir), options.seed, label)


def encodes(coder: Coder) -> bool:
    """Whether images have codes."""
    return isinstance(coder.run.model, Encodes)


def check_encodes(coder: Coder) -> None:
    """Raises a UsageError where images have no codes."""
    if not encodes(coder):
        raise UsageError(f"{coder.name} has no encoder, so its data have no codes; use sample, interpolate or sweep.")


def open_codes(options: OnCodes, *, sampled: bool | None = False) -> Coded:
    """Reads the model and encodes the data that the options choose; see `encode_data`."""
    return encode_data(open_coder(options), options.split, options.num, sampled=sampled)


def encode_data(coder: Coder, split: Split, num: int, *, sampled: bool | None = False) -> Coded:
    """`num` images of the run's data, chosen at random, and their codes.

    Args:
        coder: of the run.
        split: of the data.
        num: more than there are means all.
        sampled: draw from q(z|x); None: where there is such.

    Raises:
        UsageError: the model has no encoder, or no q(z|x), or `num` is none.
    """
    check_num(num)
    check_encodes(coder)
    source = load(coder.run.experiment.data, split)
    examples = source.take(some_of(len(source), min(num, len(source)), coder.seed))
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
