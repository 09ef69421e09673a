"""Any image set of TensorFlow Datasets that is prepared on this machine, read without TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int
from tensorflow_datasets.core.file_adapters import FileFormat

from gdl_jax.data.images import Conversion, fitted_shape
from gdl_jax.data.source import READ_BLOCK, ArraySpec, DataSettings, Split, unknown_name
from gdl_jax.errors import UsageError, nearest

DEFAULT_CROPS = {"celeb_a": 140}
"""The square of an aligned CelebA face that most papers use; without it the background takes half of the picture."""

DEFAULT_SIZES = {"celeb_a": 64}


@dataclass(frozen=True, eq=False)
class TfdsSource:
    """A split of a TFDS set; images are decoded when they are taken.

    Attributes:
        name: TFDS's name of the set.
        records: TFDS's own random access to the split, with the image left as bytes.
        num_examples: how many of the records are used, from the first on.
        conversion: what becomes of every image.
        spec: "image", "label" where the set has one class per image, "attributes" where it has a table of them.
        classes: the names of the labels.
        attribute_names: the names of the columns of "attributes".
    """

    name: str
    records: Any
    num_examples: int
    conversion: Conversion
    spec: dict[str, ArraySpec]
    classes: tuple[str, ...]
    attribute_names: tuple[str, ...]

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of all examples, where they are labelled; no image is decoded."""
        # By blocks: a record holds its encoded image too.
        starts = range(0, len(self), READ_BLOCK)
        read = (self.records.__getitems__(range(at, min(at + READ_BLOCK, len(self)))) for at in starts)
        return np.array([example["label"] for block in read for example in block], np.int32)

    def __len__(self) -> int:
        return self.num_examples

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Reads and decodes the examples at `indices`."""
        examples = self.records.__getitems__(indices.tolist())
        read = {
            "image": lambda example: self.conversion(example["image"]),
            "label": lambda example: example["label"],
            "attributes": lambda example: [example["attributes"][name] for name in self.attribute_names],
        }
        return {
            key: np.array([read[key](example) for example in examples], spec.dtype).reshape(-1, *spec.shape)
            for key, spec in self.spec.items()
        }


def load(settings: DataSettings, split: Split) -> TfdsSource:
    """Opens a TFDS image set by its name; nothing is ever downloaded.

    "test" is the set's own test split, else its validation split, else the last tenth of its training split (which
    "train" then leaves out). CelebA is cropped to 140 and resized to 64 pixels unless the settings say otherwise.

    Raises:
        UsageError: the set is unknown, not prepared, prepared in a format without random access, holds no images, or
            holds images of different sizes while `settings.size` is not set.
    """
    builder = _builder(settings)
    image = _image_feature(builder)
    _check_prepared(builder, settings)
    conversion, shape = _conversion(settings, builder.name, image.shape)
    features = _features(builder)
    label = features.get("label")
    labelled = isinstance(label, tfds.features.ClassLabel)
    attribute_names = _attribute_names(features.get("attributes"))
    spec = {"image": ArraySpec(shape, np.dtype(np.uint8))}
    if labelled:
        spec["label"] = ArraySpec((), np.dtype(np.int32))
    if attribute_names:
        spec["attributes"] = ArraySpec((len(attribute_names),), np.dtype(np.int32))
    records = builder.as_data_source(
        split=_split(list(builder.info.splits), split, settings),
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return TfdsSource(
        name=settings.name,
        records=records,
        num_examples=min(len(records), settings.num_examples or len(records)),
        conversion=conversion,
        spec=spec,
        classes=tuple(label.names) if labelled else (),
        attribute_names=attribute_names,
    )


def _builder(settings: DataSettings) -> tfds.core.DatasetBuilder:
    """TFDS's description of the set; needs no data on disk."""
    directory = settings.dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return tfds.builder(settings.name, data_dir=directory)
    except tfds.core.DatasetNotFoundError as error:
        raise unknown_name(settings.name, tfds.list_builders(with_community_datasets=False)) from error
    except ValueError as error:
        name, _, config = settings.name.partition("/")
        configs = tfds.builder_cls(name).builder_configs
        if config in configs:
            raise
        raise UsageError(f"TFDS set {name!r} has no configuration {config!r}: {nearest(config, configs)}") from error


def _features(builder: tfds.core.DatasetBuilder) -> dict[str, tfds.features.FeatureConnector]:
    """What an example consists of, by name."""
    features = builder.info.features
    return dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}


def _image_feature(builder: tfds.core.DatasetBuilder) -> tfds.features.Image:
    """The set's feature "image"."""
    features = _features(builder)
    image = features.get("image")
    if not isinstance(image, tfds.features.Image) or np.dtype(image.np_dtype).kind != "u":
        held = ", ".join(features) or "none by name"
        raise UsageError(
            f"TFDS set {builder.name!r} is no image set: expected a feature 'image' of whole numbers, found: {held}."
        )
    return image


def _check_prepared(builder: tfds.core.DatasetBuilder, settings: DataSettings) -> None:
    """Raises a UsageError with the command that prepares the set where it cannot be read by index."""
    formats = builder.info.available_file_formats() if builder.info.splits else set()
    if formats & FileFormat.with_random_access():
        return
    if formats:
        found = ", ".join(sorted(format.value for format in formats))
        state = f"is in {builder.data_dir} as {found} only, which cannot be read by index"
        command = f"tfds convert_format --dataset_version_dir={builder.data_dir} --out_file_format=array_record"
    else:
        root = builder.data_dir_root
        state = f"is not prepared in {root}"
        command = f"tfds build {settings.name} --file_format=array_record --data_dir={root}"
    raise UsageError(
        f"TFDS set {settings.name!r} {state}: run `{command}` (this command needs `pip install tensorflow`, and "
        "preparing a set may download much; training needs neither), or name the directory that has it by --data.dir."
    )


def _split(stored: list[str], split: Split, settings: DataSettings) -> str:
    """TFDS's name, with the slice, of what serves as our split."""
    if "train" not in stored:
        raise UsageError(f"TFDS set {settings.name!r} has no split 'train', only {', '.join(stored)}.")
    held_out = next((name for name in ("test", "validation") if name in stored), None)
    if held_out is None:
        return {"train": "train[:90%]", "test": "train[90%:]"}[split]
    return {"train": "train", "test": held_out}[split]


def _conversion(
    settings: DataSettings, name: str, stored: tuple[int | None, ...]
) -> tuple[Conversion, tuple[int, int, int]]:
    """What becomes of images of this stored (height, width, channels), and the shape that they get."""
    height, width, depth = stored
    crop = settings.crop or DEFAULT_CROPS.get(name)
    size = settings.size or DEFAULT_SIZES.get(name)
    if size is None and (height is None or width is None):
        raise UsageError(f"The images of {settings.name!r} differ in size: say --data.size (pixels, for example 64).")
    channels = settings.channels or (1 if depth == 1 else 3)
    # Where the stored size is not known, `size` is, and then it alone decides.
    output = fitted_shape(height or size, width or size, crop=crop, size=size)
    return Conversion(channels=channels, crop=crop, size=size), (*output, channels)


def _attribute_names(feature: object) -> tuple[str, ...]:
    """The whole numbers in a feature that is a table of them, sorted; () for any other feature."""
    if not isinstance(feature, tfds.features.FeaturesDict):
        return ()
    # Sorted, since TFDS reads them from disk in no fixed order; it is also the order in which CelebA lists its own.
    return tuple(sorted(name for name, entry in feature.items() if entry.shape == () and _is_whole(entry)))


def _is_whole(feature: tfds.features.FeatureConnector) -> bool:
    return np.dtype(feature.np_dtype).kind in "biu"
