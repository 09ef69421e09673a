"""Estimates against their references, file by file: `python -m gdl_jax.metrics.pairs REFERENCES ESTIMATES`.

Images (PSNR, SSIM), masks (intersection over union, Dice, accuracy) or sounds (signal-to-noise ratios) of the same
names in two or more folders. For sounds to be seen and heard there is `gdl_jax.pictures.sounds`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from gdl_jax.data.images import with_channels
from gdl_jax.data.sound import read_wav
from gdl_jax.errors import UsageError, run_module
from gdl_jax.files import json_text
from gdl_jax.losses.reconstruction import psnr
from gdl_jax.metrics.classification import accuracy, class_iou, confusion_matrix
from gdl_jax.metrics.similarity import dice, iou, segmental_snr, snr, ssim

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

Values = dict[str, float]
Pair = tuple[Path, Path]

MEANINGS = {
    "psnr": "peak signal-to-noise ratio in dB, at the most 100, mean over the images",
    "ssim": "structural similarity, 11x11 Gaussian window, mean over the images (Wang et al. 2004)",
    "iou": "intersection over union of what is above half, 1 where both are empty, mean over the masks",
    "dice": "Dice's coefficient, likewise",
    "accuracy": "share of the pixels that are right, mean over the masks",
    "mean_iou": "intersection over union of each class over all masks together, mean over the classes that occur",
    "pixel_accuracy": "share of all pixels that are right",
    "snr": "10 log10(sum x^2 / sum (x - estimate)^2) in dB, mean over the sounds",
    "segmental_snr": "the same in Hann windows of 30 ms, a quarter apart, each cut to -10 to 35 dB, mean over them",
}


def compare_pairs(
    references: Path, estimates: Sequence[Path], *, masks: Literal["binary", "classes"] | None = None, void: int = -1
) -> dict[str, dict[str, dict[str, Any]]]:
    """Every measure that suits the files, for every folder of estimates, each with how it was measured.

    Args:
        references: folder of what is wanted.
        estimates: folders with files of the same names.
        masks: images are masks: white is inside ("binary"), or pixels are numbers of classes ("classes").
        void: with classes, the number of pixels of the reference that do not count.

    Raises:
        UsageError: a folder without such files, a missing or damaged file, or a pair that does not fit together.
    """
    kind, names = names_of(references)
    if masks is not None and kind != "images":
        raise UsageError(f"{references} holds sounds, and --masks is for images; leave it out.")
    measure: Callable[[Sequence[Pair]], Values]
    if kind == "sounds":
        measure = _sounds
    elif masks == "classes":
        measure = partial(_class_masks, void=void)
    else:
        measure = _images if masks is None else _binary_masks
    found = {}
    for folder in estimates:
        pairs = paired(references, folder, names)
        said = {"references": str(references), "estimates": str(folder), "pairs": len(pairs)}
        said |= {"void": void} if masks == "classes" else {}
        found[str(folder)] = {
            name: {"value": value, "protocol": {"measure": MEANINGS[name.partition("/")[0]], **said}}
            for name, value in measure(pairs).items()
        }
    return found


def names_of(folder: Path) -> tuple[Literal["sounds", "images"], list[str]]:
    """What kind of files the folder and those in it hold, and their paths from there, in order.

    Raises:
        UsageError: there is no such folder, or it has no such files, or both kinds.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    sounds = [name for name in files if name.lower().endswith(".wav")]
    images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
    if bool(sounds) == bool(images):
        there = "both sounds and images" if sounds else "neither sounds (.wav) nor images (.png, .jpg, .bmp)"
        raise UsageError(f"{folder} holds {there}; give folders of one kind.")
    return ("sounds", sounds) if sounds else ("images", images)


def paired(references: Path, estimates: Path, names: Sequence[str]) -> list[Pair]:
    """Each reference and its estimate.

    Raises:
        UsageError: an estimate is missing.
    """
    if not estimates.is_dir():
        raise UsageError(f"There is no folder {estimates}.")
    missing = [name for name in names if not (estimates / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"{estimates} lacks {missing[0]}{more}; estimates need the names of their references.")
    return [(references / name, estimates / name) for name in names]


def _means(pairs: Sequence[Pair], measure: Callable[[Path, Path], Values]) -> Values:
    rows = []
    for wanted, found in pairs:
        try:
            rows.append(measure(wanted, found))
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{found}: {error}") from error
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _sounds(pairs: Sequence[Pair]) -> Values:
    return _means(pairs, ratios)


def ratios(wanted: Path, found: Path) -> Values:
    """The signal-to-noise ratios of two WAV files, in dB.

    Raises:
        UsageError: one of them cannot be read, or they differ in rate or length.
    """
    (clean, rate), (estimate, other) = read_wav(wanted), read_wav(found)
    if rate != other:
        raise UsageError(f"{found} has {other} samples a second, and {wanted} {rate}; resample it first.")
    if len(clean) != len(estimate):
        raise UsageError(f"{found} has {len(estimate)} samples, and {wanted} {len(clean)}; align them first.")
    if not len(clean):
        raise UsageError(f"{wanted} has no samples.")
    return {"snr": snr(estimate, clean), "segmental_snr": segmental_snr(estimate, clean, rate)}


def _images(pairs: Sequence[Pair]) -> Values:
    def measure(wanted: Path, found: Path) -> Values:
        one, other = (_read(path) for path in (wanted, found))
        channels = max(one.shape[-1], other.shape[-1])
        x, y = (with_channels(image, channels) / 255 for image in (other, one))
        return {"psnr": float(psnr(x, y)[0]), "ssim": float(ssim(x, y)[0])}

    return _means(pairs, measure)


def _binary_masks(pairs: Sequence[Pair]) -> Values:
    def measure(wanted: Path, found: Path) -> Values:
        x, y = (with_channels(_read(path), 1) >= 128 for path in (found, wanted))
        return {"iou": float(iou(x, y)[0]), "dice": float(dice(x, y)[0]), "accuracy": float((x == y).mean())}

    return _means(pairs, measure)


def _class_masks(pairs: Sequence[Pair], void: int) -> Values:
    total = np.zeros((256, 256), np.int64)
    for wanted, found in pairs:
        labels, predictions = (_read(path, "L").ravel().astype(np.int32) for path in (wanted, found))
        if labels.shape != predictions.shape:
            raise UsageError(f"{found} has {predictions.size} pixels, and {wanted} {labels.size}.")
        counts = labels != void
        total += confusion_matrix(labels[counts], predictions[counts], 256)
    each = class_iou(total)
    # Whoever predicts the void errs, but there is no class of that number.
    there = [label for label in np.flatnonzero(np.isfinite(each)) if label != void]
    if not len(there):
        raise UsageError("Every pixel of the references is void.")
    found = {"mean_iou": float(each[there].mean()), "pixel_accuracy": accuracy(total)}
    return found | {f"iou/{label}": float(each[label]) for label in there}


def _read(path: Path, mode: str | None = None) -> np.ndarray:
    try:
        with Image.open(path) as file:
            # The numbers of classes in a file with a palette are its indices.
            kept = file if file.mode in ("L", "RGB") or (file.mode == "P" and mode == "L") else file.convert("RGB")
            array = np.asarray(kept)
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"{path} is no image, or damaged.") from error
    if mode == "L" and array.ndim == 3:
        raise UsageError(f"{path} has colours, and a mask of classes is grey or has a palette.")
    return array.reshape(1, *array.shape[:2], -1)


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each value, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.metrics.pairs", description=__doc__.splitlines()[0])
    parser.add_argument("references", type=Path, help="folder of what is wanted: images, masks or sounds (.wav)")
    parser.add_argument("estimates", type=Path, nargs="+", help="folders with files of the same names")
    parser.add_argument("--masks", choices=("binary", "classes"), help="images are masks: white is inside, or classes")
    parser.add_argument("--void", type=int, default=-1, help="with classes: the number that does not count")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(arguments)
    found = compare_pairs(options.references, options.estimates, masks=options.masks, void=options.void)
    if options.json:
        print(json_text(found))
        return
    for folder, results in found.items():
        for name, result in results.items():
            print(f"{folder:<32} {name:<24} {result['value']:.6g}")


if __name__ == "__main__":
    sys.exit(run_module(main))
