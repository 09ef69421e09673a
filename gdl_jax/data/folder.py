"""A folder of images as a data set: flat or one sub-folder per class, with a table of attributes or captions if any.

folder/*.png                        unlabelled
folder/CLASS/*.png                  labelled
folder/train/..., folder/test/...   the two splits ("val" serves as "test"), each of them flat or with classes
folder/*.csv                        first column "file" (path in the folder), then whole numbers or a "caption"
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from gdl_jax.data.images import Channels, Conversion, fitted_shape, is_colour, orientation
from gdl_jax.data.source import ArraySpec, DataSettings, Split
from gdl_jax.errors import UsageError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

TEST_FOLDERS = ("test", "val", "valid", "validation")

TABLES = ("attributes.csv", "captions.csv")

TEST_SHARE = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FolderSource:
    """The usable images of a folder; they are decoded when they are taken, so the folder may be of any size.

    Attributes:
        name: the folder's name.
        files: the images, sorted by path.
        conversion: what becomes of every image.
        spec: "image", and "label" and "attributes" where the folder has them.
        columns: "label" and "attributes" of all images.
        classes: the names of the sub-folders; () for a flat folder.
        attribute_names: the names of the table's columns of whole numbers.
        captions: one per image; () when the table has none.
        sides: the smallest and the largest of the stored images, in pixels.
        digest: of the paths below the folder, the files' lengths, and the tables; it does not see where the folder is.
    """

    name: str
    files: tuple[Path, ...]
    conversion: Conversion
    spec: dict[str, ArraySpec]
    columns: dict[str, Int[np.ndarray, "n ..."]]
    classes: tuple[str, ...]
    attribute_names: tuple[str, ...]
    captions: tuple[str, ...]
    sides: tuple[int, int]
    digest: str

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Of all images, where they are labelled."""
        return self.columns["label"]

    def __len__(self) -> int:
        return len(self.files)

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Decodes the images at `indices`."""
        images = [self.conversion(self.files[index]) for index in indices]
        return {
            "image": np.array(images, np.uint8).reshape(-1, *self.spec["image"].shape),
            **{key: values[indices] for key, values in self.columns.items()},
        }


def load(settings: DataSettings, split: Split) -> FolderSource:
    """Opens the image folder `settings.dir`.

    Without sub-folders for the splits a tenth of the files, by a hash of their names, is the test split. Every file is
    read once now, so that a damaged one is found here and not in the middle of a training; it is left out with a
    warning. `settings.num_examples` takes those whose names have the smallest hashes, so that all classes stay.

    Raises:
        UsageError: there is no such folder, it holds no usable image, its images differ in size while `settings.size`
            is not set, or its table does not name them all.
    """
    root = settings.dir
    if root is None or not root.is_dir():
        where = "--data.dir is missing" if root is None else f"--data.dir is {root}, which is no folder"
        raise UsageError(f"{where}: for --data.name folder it must be the folder with your images.")
    base, files = _files_of_split(root, split)
    files = _smallest_hashes(root, files, settings.num_examples)
    seen = _look_at_all(root, files)
    files = tuple(seen)
    conversion, shape = _conversion(settings, root, list(seen.values()))
    classes = _classes(root)
    columns = {}
    if classes:
        labels = [classes.index(file.relative_to(base).parts[0]) for file in files]
        columns["label"] = np.array(labels, np.int32)
    attribute_names, attributes, captions = _table_columns(base if _has_table(base) else root, files)
    if attribute_names:
        columns["attributes"] = attributes
    return FolderSource(
        name=root.resolve().name,
        files=files,
        conversion=conversion,
        spec={
            "image": ArraySpec(shape, np.dtype(np.uint8)),
            **{key: ArraySpec(values.shape[1:], values.dtype) for key, values in columns.items()},
        },
        columns=columns,
        classes=classes,
        attribute_names=attribute_names,
        captions=captions,
        sides=_sides(seen.values()),
        digest=_digest(root, files, columns, captions),
    )


def load_whole(
    root: Path, *, size: int | None = None, crop: int | None = None, channels: Channels | None = None
) -> FolderSource:
    """Opens every image of a folder, whatever its sub-folders, for who cannot do without one of them.

    Size, crop and channels are those of `DataSettings`.

    Raises:
        UsageError: there is no such folder, it holds no image, one cannot be read, or the images differ in size.
    """
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}.")
    files = _images(root)
    if not files:
        raise UsageError(f"{root} has no image; expected are {', '.join(sorted(SUFFIXES))}.")
    seen, damaged = _look_at(root, files)
    if damaged:
        raise UsageError(
            f"{len(damaged)} of {len(files)} images in {root} cannot be read ({_some(damaged)}); repair or remove them."
        )
    settings = DataSettings(name="folder", dir=root, size=size, crop=crop, channels=channels)
    conversion, shape = _conversion(settings, root, list(seen.values()), "--size")
    spec = {"image": ArraySpec(shape, np.dtype(np.uint8))}
    return FolderSource(root.resolve().name, tuple(files), conversion, spec, {}, (), (), (), _sides(seen.values()), "")


# Which files.


def _split_folders(root: Path) -> dict[Split, Path] | None:
    """The sub-folders of the two splits when both are there."""
    test = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    return {"train": root / "train", "test": test} if test and (root / "train").is_dir() else None


def _files_of_split(root: Path, split: Split) -> tuple[Path, list[Path]]:
    """The folder in which the split's classes are, and its image files, sorted."""
    folders = _split_folders(root)
    if folders:
        return folders[split], _images(folders[split])
    files = _images(root)
    test = _test_files(root, files)
    # One image (it is enough for some models) serves as both.
    return root, files if len(files) == 1 else [file for file in files if (file in test) == (split == "test")]


def _images(folder: Path) -> list[Path]:
    """All image files in and below the folder, by their suffix, sorted; hidden ones are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _hash(root: Path, file: Path) -> float:
    """A number in [0, 1) that depends on the file's path below the root alone."""
    digest = hashlib.blake2b(file.relative_to(root).as_posix().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _test_files(root: Path, files: list[Path]) -> set[Path]:
    """A tenth of the files; another file more or less does not move the others, and one at least is in it."""
    first = min(files, key=lambda file: _hash(root, file), default=None)
    return {file for file in files if file == first or _hash(root, file) < TEST_SHARE}


def _smallest_hashes(root: Path, files: list[Path], count: int | None) -> list[Path]:
    """So many of the files, sorted by path again; all for None."""
    return sorted(sorted(files, key=lambda file: _hash(root, file))[:count])


def _classes(root: Path) -> tuple[str, ...]:
    """The names of the class folders, the same for both splits; () for a flat folder."""
    bases = list((_split_folders(root) or {"all": root}).values())
    parts = [file.relative_to(base).parts for base in bases for file in _images(base)]
    flat = [names[-1] for names in parts if len(names) == 1]
    nested = {names[0] for names in parts if len(names) > 1}
    if flat and nested:
        raise UsageError(
            f"{root} has images both directly in it ({flat[0]} ...) and in sub-folders ({min(nested)} ...): put all of "
            "them into sub-folders, one per class, or none."
        )
    return tuple(sorted(nested))


# What is in them.


@dataclass(frozen=True)
class _Look:
    """What opening an image file tells."""

    height: int
    width: int
    colour: bool


def _look(file: Path) -> _Look | None:
    """Reads one file to its end; None if it is no image or a damaged one."""
    try:
        with Image.open(file) as image:
            height, width, colour = image.height, image.width, is_colour(image)
            # A JPEG is decoded at an eighth of its size: all of its bytes are read, in a third of the time.
            image.draft(None, (max(width // 8, 1), max(height // 8, 1)))
            image.load()
            if orientation(image) >= 5:
                height, width = width, height
            return _Look(height, width, colour)
    # Pillow's decoders raise errors of many classes, even SyntaxError, for damaged files.
    except Exception as error:
        log.debug("%s: %s", file, error)
        return None


def _look_at(root: Path, files: Sequence[Path]) -> tuple[dict[Path, _Look], list[str]]:
    """Opens every file: those that are images, and the names of those that cannot be read."""
    with ThreadPoolExecutor() as pool:
        looks = dict(zip(files, pool.map(_look, files), strict=True))
    usable = {file: look for file, look in looks.items() if look}
    return usable, [file.relative_to(root).as_posix() for file, look in looks.items() if not look]


def _look_at_all(root: Path, files: Sequence[Path]) -> dict[Path, _Look]:
    """Opens every file; those that cannot be read are named in one warning and left out."""
    usable, damaged = _look_at(root, files)
    if not usable:
        found = f"its {len(damaged)} image files are all damaged ({_some(damaged)})" if damaged else "it has none"
        raise UsageError(f"{root} has no usable image for this split: {found}; expected {', '.join(sorted(SUFFIXES))}.")
    if damaged:
        log.warning("%d of %d images in %s cannot be read: %s.", len(damaged), len(files), root, _some(damaged))
    return usable


def _sides(looks: Iterable[_Look]) -> tuple[int, int]:
    """The smallest and the largest side of any."""
    found = [side for look in looks for side in (look.height, look.width)]
    return min(found), max(found)


def _digest(root: Path, files: Sequence[Path], columns: dict[str, np.ndarray], captions: Sequence[str]) -> str:
    """See `FolderSource`; of the files' contents only their lengths, for which none has to be read."""
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
    for name, values in columns.items():
        found.update(name.encode() + values.tobytes())
    found.update("\0".join(captions).encode())
    return found.hexdigest()


def _conversion(
    settings: DataSettings, root: Path, looks: list[_Look], option: str = "--data.size"
) -> tuple[Conversion, tuple[int, int, int]]:
    """What becomes of every image, and the shape that all of them get."""
    channels = settings.channels or (3 if any(look.colour for look in looks) else 1)
    shapes = {fitted_shape(look.height, look.width, crop=settings.crop, size=settings.size) for look in looks}
    if len(shapes) > 1:
        examples = _some([f"{height}x{width}" for height, width in sorted(shapes)])
        raise UsageError(
            f"The images in {root} differ in size ({examples}): say {option} (pixels, for example 64), and each is "
            "cut to a square and resized."
        )
    return Conversion(channels, settings.crop, settings.size), (*shapes.pop(), channels)


# What is said of them.


def _tables(folder: Path) -> list[Path]:
    """The CSV files that describe the folder's images."""
    named = [folder / name for name in TABLES if (folder / name).is_file()]
    found = sorted(folder.glob("*.csv"))
    return named or (found if len(found) == 1 else [])


def _has_table(folder: Path) -> bool:
    return bool(_tables(folder))


def _rows(table: Path) -> dict[str, dict[str, str]]:
    """The columns of each file, by its path in the folder."""
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        if not reader.fieldnames or reader.fieldnames[0] != "file":
            found = ", ".join(reader.fieldnames or ["nothing"])
            raise UsageError(f"The first column of {table} must be 'file', the image's path; found: {found}.")
        return {row.pop("file"): row for row in reader}


def _table_columns(
    folder: Path, files: Sequence[Path]
) -> tuple[tuple[str, ...], Int[np.ndarray, "n attributes"], tuple[str, ...]]:
    """Names and values of the columns of whole numbers, and the captions, of these files.

    A column of -1 and 1, as CelebA's, becomes one of 0 and 1. Columns that are neither are left out.
    """
    columns = [column for table in _tables(folder) for column in _columns_of(table, folder, files).items()]
    captions = next((values for name, values in columns if name == "caption"), ())
    whole = {name: _whole_numbers(values) for name, values in columns if name != "caption"}
    whole = {name: values for name, values in whole.items() if values is not None}
    return tuple(whole), np.array(list(whole.values()), np.int32).reshape(len(whole), len(files)).T, tuple(captions)


def _columns_of(table: Path, folder: Path, files: Sequence[Path]) -> dict[str, list[str]]:
    """The table's columns, in the order of the files."""
    rows = _rows(table)
    names = [file.relative_to(folder).as_posix() for file in files]
    missing = [name for name in names if name not in rows]
    if missing:
        raise UsageError(f"{len(missing)} images have no row in {table}: {_some(missing)}; each image needs one.")
    return {column: [rows[name][column] or "" for name in names] for column in rows[names[0]] if column}


def _whole_numbers(values: list[str]) -> list[int] | None:
    """The values as integers, -1 and 1 as 0 and 1; None if one is no integer."""
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        return None
    return [(number + 1) // 2 for number in numbers] if set(numbers) == {-1, 1} else numbers


def _some(names: Iterable[str]) -> str:
    """At most three names, for a message."""
    names = list(names)
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
