"""Looking at what a network looks for, or paints with: the filters of its convolution on images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from experiments.verbs import OnCheckpoint, Shelf, check_shelf, open_run
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.pictures.grid import grid
from gdl_jax.pictures.latent_plane import titled, zoomed

WIDTH = 40
"""Of a filter, at the least."""

Kernel = Float[np.ndarray, "height width channels filters"]


@dataclass(frozen=True, kw_only=True)
class ShowFilters(OnCheckpoint):
    """Draw the filters of the first convolution of networks that see images, and of the last of those that draw them.

    Each is scaled by its own largest weight; grey is 0.
    """

    out: Path | None = None
    """Folder of the pictures (default: WORKDIR/samples, where the report finds them)."""


def show_filters(options: ShowFilters) -> None:
    """`filters WORKDIR`."""
    run = open_run(options.workdir, options.checkpoint)
    shelf = Shelf(run, check_shelf(options.out, options.workdir))
    channels = DataSpec.from_json(run.saved["data"]).image_shape[2]
    kernels = {name: image_kernel(network.params, channels) for name, network in run.state.networks.items()}
    found = {name: kernel for name, kernel in kernels.items() if kernel is not None}
    if not found:
        raise UsageError(f"No network of {run.saved['name']} has a convolution from or to {channels} channel(s).")
    for name, kernel in found.items():
        height, width, _, count = kernel.shape
        title = f"{run.saved['name']}, step {run.step:,}: {count} filters of {height}x{width} of the {name}"
        shelf.save(f"filters_of_{name}", titled(drawn(kernel), title))


def image_kernel(params: PyTree, channels: int) -> Kernel | None:
    """The first kernel from so many channels, else the last one to so many; None where there is neither.

    A transposed convolution's kernel has its output's channels before its input's, as if it went the other way.
    """
    kernels = [leaf for _, leaf in jax.tree_util.tree_leaves_with_path(params) if np.ndim(leaf) == 4]
    seeing = [np.asarray(kernel, np.float32) for kernel in kernels if kernel.shape[2] == channels]
    drawing = [np.asarray(kernel, np.float32).swapaxes(2, 3) for kernel in kernels if kernel.shape[3] == channels]
    return [*seeing[:1], *drawing[-1:], None][0]


def drawn(kernel: Kernel) -> UInt8[np.ndarray, "height width 3"]:
    """Each filter scaled by its own largest weight."""
    filters = kernel.transpose(3, 0, 1, 2)
    largest = np.maximum(np.abs(filters).max((1, 2, 3), keepdims=True), 1e-12)
    return grid(zoomed(np.rint(127.5 + 127.5 * filters / largest).astype(np.uint8), WIDTH))


FILTER_VERBS = {"filters": (ShowFilters, show_filters)}
