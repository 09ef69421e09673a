"""Charts for print, drawn by matplotlib without its global state: one style, one way to make them, one way to save.

matplotlib is imported when the first chart is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num, UInt8

from gdl_jax.files import write_atomically
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.grid import strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, RULE = "#1d2229", "#606a77", "#dfe2e6"

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that charts are the same everywhere
    "font.size": 9.5,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 160,
    "svg.hashsalt": "gdl_jax",  # without it the names in a file differ from time to time
    "text.color": INK,
    "xtick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.color": SOFT,
    "ytick.labelsize": 8.5,
}


@contextmanager
def style() -> Iterator[None]:
    """While it lasts, what is drawn looks alike; afterwards matplotlib's settings are as before."""
    import matplotlib

    with matplotlib.rc_context(STYLE | {"axes.prop_cycle": matplotlib.cycler(color=PALETTE)}):
        yield


def chart(
    rows: int = 1, columns: int = 1, *, width: float | int = 6.4, height: float | int = 4.0, **options: object
) -> tuple[Figure, np.ndarray]:
    """An empty figure of `rows` x `columns` plots.

    Args:
        rows: of plots.
        columns: of plots.
        width: of the whole in inches.
        height: likewise.
        options: of matplotlib's `Figure.subplots`.

    Returns:
        The figure, and its axes in reading order.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


def legend_outside(axes: Axes, columns: int | None = None) -> None:
    """The legend where it covers no data: under the figure in so many columns, or else at its right."""
    place = "outside right upper" if columns is None else "outside lower center"
    axes.figure.legend(*axes.get_legend_handles_labels(), loc=place, ncols=columns or 1)


def band(
    axes: Axes,
    x: Num[np.ndarray, " points"],
    lines: Num[np.ndarray, "seeds points"],
    colour: str,
    name: str,
    **options: object,
) -> None:
    """The median of several lines, and the span from the lowest to the highest."""
    axes.fill_between(x, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, np.median(lines, axis=0), color=colour, label=name, **options)


def strips(rows: Mapping[str, UInt8[np.ndarray, "_n height width channels"]], *, width: float = 8.0) -> Figure:
    """Rows of pictures, each under its name."""
    pictures = {name: strip(images) for name, images in rows.items()}
    heights = [width * picture.shape[0] / picture.shape[1] for picture in pictures.values()]
    figure, axes = chart(len(rows), width=width, height=sum(heights) + 0.32 * len(rows), height_ratios=heights)
    for plot, (name, picture) in zip(axes, pictures.items(), strict=True):
        plot.imshow(picture, vmin=0, vmax=255)
        plot.set_title(name)
        plot.set_axis_off()
    return figure


def save_chart(path: str | os.PathLike[str], figure: Figure) -> None:
    """Writes the figure as PNG or SVG, by the name's ending; the same figure gives the same bytes.

    Its places are found when it is saved first, and kept from then on.
    """
    kind = os.fspath(path).rpartition(".")[2]
    # Without the date, which SVG would have, and without the version, which PNG would have.
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}[kind]
    with style():
        write_atomically(path, lambda file: figure.savefig(file, format=kind, metadata=metadata))
    # A third of the time to draw is finding the places.
    figure.set_layout_engine("none")
