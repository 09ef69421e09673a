"""Two sets of images, folders or files of samples, compared: `python -m gdl_jax.metrics.compare DATA SAMPLES`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gdl_jax import runtime
from gdl_jax.data.folder import load_whole
from gdl_jax.data.images import Channels, Conversion
from gdl_jax.data.source import LARGEST_SIZE
from gdl_jax.errors import UsageError, run_module
from gdl_jax.files import json_text
from gdl_jax.metrics.feature_files import BUILT_IN, open_features
from gdl_jax.metrics.features import FILTERS, IMAGES_PER_CALL, Images, Resize
from gdl_jax.metrics.measures import MEASURES
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.metrics.suite import check_names, measure


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What is made of every image of both sets; each as in `DataSettings`."""

    size: int | None = None
    crop: int | None = None
    channels: Channels | None = None


def read_images(path: Path, to: Fit) -> Images:
    """Every image of a folder, or of the array "samples" of an .npz, in a file; see `spilled`.

    Raises:
        UsageError: see `load_whole`; or the .npz holds no such array of images.
    """
    if path.suffix != ".npz":
        source = load_whole(path, **dataclasses.asdict(to))
        parts = blocks(np.arange(len(source)), IMAGES_PER_CALL)
        (images,) = spilled((source.take(part)["image"],) for part in parts)
        return images
    stored = _read_samples(path)
    if to == Fit():
        return stored
    conversion = Conversion(to.channels or stored.shape[-1], to.crop, to.size)
    made = (Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in stored)
    return np.stack([conversion.of(image) for image in made])


def _read_samples(path: Path) -> Images:
    try:
        with np.load(path) as file:
            found = file["samples"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} has no readable array 'samples', as sample --out makes it ({error}).") from error
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[-1] not in (1, 3) or not len(found):
        raise UsageError(
            f"The samples of {path} are {found.dtype} {found.shape}; expected uint8 (num, height, width, 1 or 3)."
        )
    return found


def compare(
    real: Path, fake: Path, metrics: Sequence[str], features: str, resize: Resize = "bicubic", to: Fit = Fit()
) -> dict[str, dict[str, Any]]:
    """See `measure`."""
    check_names(metrics)
    sets = Sets(read_images(real, to), read_images(fake, to), open_features(features, resize=resize))
    return measure(sets, metrics, {"real_folder": str(real), "samples_folder": str(fake), **dataclasses.asdict(to)})


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Values with the features in which they were taken, whose names end in the digest of their weights; warnings."""
    shown = []
    for name, result in found.items():
        said = f"{name} [{result['protocol']['features']}]"
        shown.append(f"  {said:<64} {result['value']:.6g}")
    warnings = (sentence for result in found.values() for sentence in result["protocol"].get("warnings", ()))
    return [*shown, *dict.fromkeys(warnings)]


def _pixels(word: str) -> int:
    if not (word.isdigit() and 1 <= int(word) <= LARGEST_SIZE):
        raise argparse.ArgumentTypeError(f"{word} is no number of pixels from 1 to {LARGEST_SIZE}")
    return int(word)


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each value, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.metrics.compare", description=__doc__)
    parser.add_argument("real", type=Path, help="folder of data, or .npz with an array 'samples'")
    parser.add_argument("fake", type=Path, help="folder of samples, or .npz of `sample --out`")
    parser.add_argument("--metrics", default="fid,kid,prdc", help=f"some of {','.join(MEASURES)}")
    parser.add_argument(
        "--features", default="pixels", help=f"{', '.join(BUILT_IN)}, or a file with the weights of Inception v3 or VGG"
    )
    parser.add_argument("--resize", choices=FILTERS, default="bicubic", help="filter to the size of a network")
    parser.add_argument("--size", type=_pixels, help="height and width to which both are resized (as --data.size)")
    parser.add_argument("--crop", type=_pixels, help="side of the square cut from the centre before (as --data.crop)")
    parser.add_argument("--channels", type=int, choices=(1, 3), help="1: grey, 3: RGB; default: as stored")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(arguments)
    to = Fit(size=options.size, crop=options.crop, channels=options.channels)
    found = compare(options.real, options.fake, options.metrics.split(","), options.features, options.resize, to)
    if options.json:
        print(json_text(found))
        return
    print("\n".join(lines(found)))


if __name__ == "__main__":
    runtime.set_defaults()
    sys.exit(run_module(main))
