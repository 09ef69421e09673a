"""Looking at what a network looks for, or paints with: the filters of its layer on images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from experiments.verbs.opening import OnCheckpoint, Shelf, check_shelf, open_run
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.pictures.captions import titled, zoomed
from gdl_jax.pictures.grid import grid

WIDTH = 40
"""Of a filter, at the least."""

Kernel = Float[np.ndarray, "height width channels filters"]


@dataclass(frozen=True, kw_only=True)
class ShowFilters(OnCheckpoint):
    """Draw the filters of the first layer of networks that see images, and of the last of those that draw them.

    Those of a dense layer are as large as the image. Each is scaled by its own largest weight; grey is 0.
    """

    out: Path | None = None
    """Folder of the pictures (default: WORKDIR/samples, where the report finds them)."""


def show_filters(options: ShowFilters) -> None:
    """`filters WORKDIR`."""
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    shelf = Shelf(run, check_shelf(options.out, options.workdir))
    shape = DataSpec.from_json(run.saved["data"]).image_shape
    kernels = {name: image_kernel(network.params, shape) for name, network in run.state.networks.items()}
    found = {name: kernel for name, kernel in kernels.items() if kernel is not None}
    if not found:
        raise UsageError(f"No network of {run.saved['name']} has a layer from or to {shape[2]} channel(s) of images.")
    for name, kernel in found.items():
        height, width, _, count = kernel.shape
        title = f"{run.saved['name']}, step {run.step:,}: {count} filters of {height}x{width} of the {name}"
        shelf.save(f"filters_of_{name}", titled(drawn(kernel), title))


def image_kernel(params: PyTree, shape: tuple[int, int, int]) -> Kernel | None:
    """The first kernel from images of this shape, else the last one to such; None where there is neither.

    A transposed convolution's kernel has its output's channels before its input's, as if it went the other way. Where
    there is no convolution, the kernel of a dense layer from all pixels, or to all pixels.
    """
    kernels = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(params) if np.ndim(leaf) in (2, 4)]
    convolutions = [kernel for kernel in kernels if kernel.ndim == 4]
    if convolutions:
        seeing = [kernel for kernel in convolutions if kernel.shape[2] == shape[2]]
        drawing = [kernel.swapaxes(2, 3) for kernel in convolutions if kernel.shape[3] == shape[2]]
    else:
        seeing = [kernel.reshape(*shape, -1) for kernel in kernels if len(kernel) == math.prod(shape)]
        drawing = [kernel.T.reshape(*shape, -1) for kernel in kernels if kernel.shape[1] == math.prod(shape)]
    return [*seeing[:1], *drawing[-1:], None][0]


def drawn(kernel: Kernel) -> UInt8[np.ndarray, "height width 3"]:
    """Each filter scaled by its own largest weight."""
    filters = kernel.transpose(3, 0, 1, 2)
    largest = np.maximum(np.abs(filters).max((1, 2, 3), keepdims=True), 1e-12)
    return grid(zoomed(np.rint(127.5 + 127.5 * filters / largest).astype(np.uint8), WIDTH))


FILTER_VERBS = {"filters": (ShowFilters, show_filters)}
