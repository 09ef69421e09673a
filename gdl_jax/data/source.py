"""Where examples come from: what a source is, the settings that choose one, and `load`, which opens it."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from gdl_jax.errors import UsageError, nearest

Split = Literal["train", "test"]

BUILT_IN = ("digits", "faces", "folder", "noise", "shapes", "triangles")

READ_BLOCK = 512

LARGEST_SIZE = 8192

LEAST_STACKED = 25_600
"""Stacked images of a split, where it has fewer examples: as many as Metz et al. draw samples."""


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one array of one example."""

    shape: tuple[int, ...]
    dtype: np.dtype


@runtime_checkable
class Source(Protocol):
    """A finite set of examples with random access.

    Attributes:
        name: what it is called in logs and reports.
        spec: the arrays of one example. Image sets have "image" (height, width, channels) uint8; labelled sets have
            "label" () int32; others may follow ("mask", "attributes" ...).
        classes: the names of the labels; () when unlabelled.
    """

    name: str
    spec: dict[str, ArraySpec]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """The examples at `indices`, in this order, stacked: the same for the same index, from any thread."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A source that is wholly in memory.

    Attributes:
        name: what it is called in logs and reports.
        arrays: one array per key; all have the same first dimension.
        classes: the names of the labels; () when unlabelled.
        attribute_names: the names of the columns of "attributes"; () when there are none.
        captions: one text per example; () when there are none.
    """

    name: str
    arrays: dict[str, np.ndarray]
    classes: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    def __post_init__(self):
        lengths = {key: len(array) for key, array in self.arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"The arrays of source {self.name!r} differ in length: {lengths}.")

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        return {key: ArraySpec(array.shape[1:], array.dtype) for key, array in self.arrays.items()}

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of all examples, where they are labelled."""
        return self.arrays["label"]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Copies of the examples at `indices`, in this order."""
        return {key: array[indices] for key, array in self.arrays.items()}


@dataclass(frozen=True, eq=False)
class Subset:
    """Some examples of a source; labels keep their numbers, and classes their names.

    Attributes:
        source: the whole.
        indices: of the examples, in their order.
    """

    source: Source
    indices: Int[np.ndarray, " n"]

    @property
    def name(self) -> str:
        """That of the whole."""
        return self.source.name

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        return self.source.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the whole, be they in the subset or not."""
        return self.source.classes

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Those of the whole."""
        return getattr(self.source, "attribute_names", ())

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of the examples, where they are labelled."""
        return self.source.labels[self.indices]

    @property
    def captions(self) -> tuple[str, ...]:
        """Those of the examples; () when there are none."""
        captions = getattr(self.source, "captions", ())
        return tuple(captions[index] for index in self.indices) if captions else ()

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """The subset's examples at `indices`, in this order."""
        return self.source.take(self.indices[indices])


@dataclass(frozen=True, eq=False)
class Stacked:
    """Three random examples of a grey set as the red, green and blue of one image: many modes that can be counted.

    Metz et al. 2017 (arXiv:1611.02163), section 3.3.1: "Stacked MNIST", whose three digits make 1,000 classes.

    Attributes:
        source: of grey images with labels.
        seed: of the triples.
    """

    source: Source
    seed: int = 0

    def __post_init__(self):
        if self.source.spec["image"].shape[-1] != 1 or "label" not in self.source.spec:
            raise UsageError(
                f"--data.stacked makes grey images with labels into colours, and {self.source.name!r} has none; leave "
                "it out, or set --data.channels 1."
            )

    @property
    def name(self) -> str:
        """After that of the source."""
        return f"stacked_{self.source.name}"

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        height, width, _ = self.source.spec["image"].shape
        return {"image": ArraySpec((height, width, 3), np.dtype(np.uint8)), "label": ArraySpec((), np.dtype(np.int32))}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the three, red first: "0 0 7"; their numbers are digits of the label's."""
        return tuple(" ".join(names) for names in itertools.product(self.source.classes, repeat=3))

    @cached_property
    def triples(self) -> Int[np.ndarray, "num 3"]:
        """The examples that are red, green and blue."""
        num = max(len(self.source), LEAST_STACKED)
        return np.random.default_rng(self.seed).integers(0, len(self.source), (num, 3))

    @property
    def labels(self) -> Int[np.ndarray, " num"]:
        """Of all examples."""
        return self._joined(self.source.labels[self.triples])

    def __len__(self) -> int:
        return len(self.triples)

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """The examples at `indices`, in this order."""
        found = self.source.take(self.triples[indices].reshape(-1))
        images = found["image"][..., 0].reshape(len(indices), 3, *found["image"].shape[1:3])
        labels = found["label"].reshape(-1, 3)
        return {"image": np.moveaxis(images, 1, -1), "label": self._joined(labels)}

    def _joined(self, labels: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        num = len(self.source.classes)
        return (labels @ np.array([num**2, num, 1])).astype(np.int32)


def class_numbers(wanted: Sequence[str], classes: Sequence[str], setting: str = "--data.classes") -> tuple[int, ...]:
    """The numbers of classes that are said by name or by number, each once, in their order.

    Args:
        wanted: names or numbers.
        classes: all of them.
        setting: where they were said.

    Raises:
        UsageError: there is no such class.
    """
    numbers = {str(number): number for number in range(len(classes))}
    # A name is what a user sees: where the folders "1" and "2" are classes 0 and 1, "1" is the first.
    numbers |= {name: number for number, name in enumerate(classes)}
    for each in wanted:
        if each not in numbers:
            raise UsageError(f"{setting}: there is no class {each!r}, {nearest(each, classes)}")
    return tuple(sorted({numbers[each] for each in wanted}))


def of_classes(source: Source, wanted: Sequence[str], labels: Int[np.ndarray, " n"]) -> Subset:
    """The examples of the wanted classes.

    Raises:
        UsageError: there is no such class, or no example of it.
    """
    found = np.flatnonzero(np.isin(labels, class_numbers(wanted, source.classes)))
    if not len(found):
        raise UsageError(
            f"--data.classes {' '.join(wanted)}: none of the {len(source):,} examples that {source.name!r} has for a "
            "split is of these classes; name others, or raise --data.num-examples."
        )
    return Subset(source, found)


def nbytes(source: Source) -> int:
    """Bytes that all examples of the source take in memory."""
    return len(source) * sum(int(np.prod(spec.shape)) * spec.dtype.itemsize for spec in source.spec.values())


def resident(source: Source) -> ArraySource:
    """Reads a whole source into memory, by blocks in a thread pool."""
    if isinstance(source, ArraySource):
        return source
    # Filled in place: collecting the blocks and joining them would need twice the memory.
    arrays = {key: np.empty((len(source), *spec.shape), spec.dtype) for key, spec in source.spec.items()}

    def read(start: int) -> None:
        indices = np.arange(start, min(start + READ_BLOCK, len(source)))
        for key, values in source.take(indices).items():
            arrays[key][indices] = values

    with ThreadPoolExecutor() as pool:
        # `list` lets an error of a block out; without it the pool would swallow it.
        list(pool.map(read, range(0, len(source), READ_BLOCK)))
    # The two are optional: a source without them is a source all the same.
    return ArraySource(
        source.name,
        arrays,
        source.classes,
        attribute_names=getattr(source, "attribute_names", ()),
        captions=getattr(source, "captions", ()),
    )


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which data, and how they are prepared."""

    name: str = "digits"
    """Data set: digits, shapes, triangles, faces, noise (built in), folder (your images, see dir), or any image set of
    TFDS (mnist, cifar10, celeb_a ...); or package.module:function, your own function (settings, split) -> source."""

    dir: Path | None = None
    """The image folder for `folder`, else the TFDS data directory (default: $TFDS_DATA_DIR, then TFDS's own)."""

    size: int | None = None
    """Height and width of the images in pixels; None: the data set's own. An experiment's default is for its own data
    set: beside another --data.name it is None."""

    channels: Literal[1, 3] | None = None
    """1 = grey, 3 = RGB (default: as stored)."""

    crop: int | None = None
    """Side in pixels of the square cut from the centre before resizing (default: the shorter side; 140 for celeb_a)."""

    num_examples: int | None = None
    """Use only the first so many examples; for generated sets, how many to make (default: all; 10,000, of noise
    1,024)."""

    classes: tuple[str, ...] = ()
    """Of these examples only those of these classes, by names or numbers (default: all)."""

    stacked: bool = False
    """Three random examples of a grey set as the red, green and blue of one image: of ten digits 1,000 classes."""

    seed: int = 0
    """Seed of the generated sets (shapes, faces, noise) and of stacked; stored data do not depend on it."""

    placement: Literal["auto", "device", "host"] = "auto"
    """Where the examples wait: in the accelerator's memory, streamed from the host, or chosen by their size."""

    flip: bool = False
    """Mirror every second image at random while training."""

    @property
    def full_name(self) -> str:
        """What the set is called: its classifier's name where there is one."""
        return f"stacked_{self.name}" if self.stacked else self.name

    def __post_init__(self):
        for field in ("size", "crop", "num_examples"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise UsageError(f"--data.{field.replace('_', '-')} is {value}, but must be at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--data.seed is {self.seed}, but must be from 0 to {2**32 - 1}.")
        if self.dir is not None and self.name in BUILT_IN and self.name != "folder":
            raise UsageError(f"--data.dir is for folder and for TFDS's sets; {self.name!r} is built in: leave it out.")
        if self.size is not None and self.size > LARGEST_SIZE:
            raise UsageError(f"--data.size is {self.size}, but must be at most {LARGEST_SIZE}.")


def load(settings: DataSettings, split: Split) -> Source:
    """Opens the data set that the settings name.

    Args:
        settings: name and preparation.
        split: "train" or "test"; the two share no example (except a folder that holds a single image).

    Raises:
        UsageError: there is no such data set, it is not prepared, or the settings do not suit it.
    """
    source = _opener(settings.name)(settings, split)
    if settings.classes:
        if "label" not in source.spec or not source.classes:
            raise UsageError(f"The images of {settings.name!r} have no labels: leave --data.classes out.")
        source = of_classes(source, settings.classes, source.labels)
    if settings.stacked:
        source = Stacked(source, settings.seed)
    return source


def _opener(name: str) -> Callable[[DataSettings, Split], Source]:
    module_name, _, function = name.partition(":")
    # TFDS's names have a colon too, before a version: "mnist:3.0.1".
    if not function.isidentifier():
        # Each of these modules builds on this one, and importing TFDS or scikit-learn takes longer than most data sets.
        return importlib.import_module(f"gdl_jax.data.{name if name in BUILT_IN else 'tfds'}").load
    try:
        return getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The data set {name!r} cannot be opened ({error}); it has to be package.module:function, and to be found "
            "from here or on PYTHONPATH."
        ) from error


def reject_crop(settings: DataSettings) -> None:
    """Raises a UsageError when a crop is asked of a set that is drawn in the wanted size anyway."""
    if settings.crop is not None:
        raise UsageError(
            f"--data.crop is for stored images, but {settings.name!r} is drawn in the size that --data.size gives: "
            "leave --data.crop out."
        )


def unknown_name(name: str, others: Iterable[str]) -> UsageError:
    """The error for a data set that exists neither here nor among the `others`."""
    # The hint "one of ..." would name hundreds of sets, so only a near name is worth saying.
    hint = nearest(name, {*BUILT_IN, *others})
    hint = hint if hint.startswith("did you mean") else f"built in are {', '.join(BUILT_IN)}; the others are TFDS's."
    return UsageError(
        f"There is no data set {name!r}: {hint} (For images of your own: --data.name folder --data.dir YOUR_FOLDER.)"
    )
