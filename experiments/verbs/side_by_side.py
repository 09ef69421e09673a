"""The verb `side_by_side`: samples of several models of the same kind of images, a row each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

from experiments.verbs.opening import Images, OnCheckpoint, Shelf, check_num, check_shelf, open_run
from experiments.workdir import short_names
from gdl_jax.data.images import fit, pixels, with_channels
from gdl_jax.metrics.pixel_statistics import sharpness
from gdl_jax.pictures.captions import named_rows, titled


@dataclass(frozen=True, kw_only=True)
class SideBySide(OnCheckpoint):
    """Draw samples of several runs under test images, all as small as the smallest, and say how sharp each set is.

    Foster's comparison of a VAE's faces and a GAN's: the former are soft, and sharpness, the variance of the Laplacian
    (see `evaluate --metrics sharpness`), tells so. Images are cut to squares and resized, bicubic and antialiased.
    """

    others: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of further runs."""
    num: int = 500
    """Images of which the sharpness is taken, of each."""
    shown: int = 10
    """Images in a row."""
    seed: int = 0
    """Of the samples, and of the choice of test images."""
    out: Path | None = None
    """Folder of the picture and the JSON file (default: WORKDIR/samples)."""


def show_side_by_side(options: SideBySide) -> None:
    """`side_by_side WORKDIR WORKDIR ...`."""
    check_num(options.num)
    check_num(options.shown, "shown")
    runs = {path: open_run(path, options.checkpoint, options.data.dir) for path in (options.workdir, *options.others)}
    shelf = Shelf(runs[options.workdir], check_shelf(options.out, options.workdir))
    names = short_names(list(runs))
    sets = {"test images": runs[options.workdir].examples("test", options.num, options.seed)["image"]}
    for path, run in runs.items():
        sets[f"{names[path]} ({run.saved['name']}, step {run.step:,})"] = run.draw(options.num, options.seed)
    side = min(min(images.shape[1:3]) for images in sets.values())
    channels = max(images.shape[3] for images in sets.values())
    sets = {name: smaller(with_channels(images, channels), side) for name, images in sets.items()}
    numbers = {name: float(sharpness(images).mean()) for name, images in sets.items()}
    for name, value in numbers.items():
        print(f"{name}: sharpness {value:.4g}")
    # Evenly spaced, for test images are in the data's order, which may be by class.
    shown = [np.linspace(0, len(images) - 1, options.shown).round().astype(int) for images in sets.values()]
    rows = np.stack([images[places] for images, places in zip(sets.values(), shown, strict=True)])
    shelf.save("side_by_side", titled(named_rows(rows, tuple(sets)), f"Samples at {side}x{side} pixels"))
    shelf.write("side_by_side", {"side": side, "sharpness": numbers})


def smaller(images: Images, side: int) -> UInt8[np.ndarray, "num {side} {side} channels"]:
    """Cut to squares and resized, bicubic and antialiased."""
    if images.shape[1:3] == (side, side):
        return images
    shape = images.shape[3]
    pictures = (Image.fromarray(image if shape == 3 else image[..., 0]) for image in images)
    return np.stack([pixels(fit(picture, crop=None, size=side), shape) for picture in pictures])


SIDE_BY_SIDE_VERBS = {"side_by_side": (SideBySide, show_side_by_side)}
