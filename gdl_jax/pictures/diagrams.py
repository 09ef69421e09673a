"""Block diagrams: boxes with names, arrows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdl_jax.pictures.charts import INK, SOFT
from gdl_jax.pictures.curves import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Arrow = tuple[str, str, str] | tuple[str, str, str, float]
"""From, to, label, and how much the arrow bends (0 for a straight one)."""


def draw_blocks(
    axes: Axes, boxes: Mapping[str, tuple[float, float]], arrows: Sequence[Arrow], *, title: str = "", colour: int = 0
) -> None:
    """Draws boxes at their centres and the arrows between them.

    Args:
        axes: of a plot that gets no axes; coordinates are free, y upwards.
        boxes: text -> centre.
        arrows: with the texts of two boxes.
        title: of the plot.
        colour: index of the boxes' colour in the palette.
    """
    box = {"boxstyle": "round,pad=0.45", "facecolor": PALETTE[colour] + "1c", "edgecolor": PALETTE[colour]}
    drawn = {
        name: axes.text(*centre, name, ha="center", va="center", color=INK, bbox=box, fontsize=9)
        for name, centre in boxes.items()
    }
    for start, end, text, *bend in arrows:
        bend = bend[0] if bend else 0.0
        style = {"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.2, "connectionstyle": f"arc3,rad={bend}"}
        style |= {
            "patchA": drawn[start].get_bbox_patch(),
            "patchB": drawn[end].get_bbox_patch(),
            "shrinkA": 2,
            "shrinkB": 2,
        }
        (x0, y0), (x1, y1) = boxes[start], boxes[end]
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=style)
        # The middle of the arc lies half of its bend beside the line, on the right of its way.
        middle = (0.5 * (x0 + x1) + 0.5 * bend * (y1 - y0), 0.5 * (y0 + y1) - 0.5 * bend * (x1 - x0))
        # Above a straight arrow, in a gap of a bent one.
        place = {"xytext": (0, 0), "va": "center", "bbox": {"facecolor": "white", "linewidth": 0}} if bend else {}
        place = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"} | place
        axes.annotate(text, middle, fontsize=8, color=SOFT, **place)
    xs, ys = zip(*boxes.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.7, max(xs) + 0.7), ylim=(min(ys) - 0.7, max(ys) + 0.7), title=title)
    axes.set_axis_off()
