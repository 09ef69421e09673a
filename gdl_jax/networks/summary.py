"""What a network is made of, as a table. Arrays and the results of `jax.eval_shape` serve alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

PyTree = Any


class Row(NamedTuple):
    """One leaf of the variables."""

    path: str
    """From the collection to the leaf: "params/Conv_0/kernel"."""
    shape: tuple[int, ...]
    dtype: str
    count: int


def parameter_table(variables: PyTree) -> list[Row]:
    """One row per leaf, in the order of the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(variables)
    return [
        Row(jax.tree_util.keystr(path, simple=True, separator="/"), leaf.shape, str(leaf.dtype), math.prod(leaf.shape))
        for path, leaf in leaves
    ]


def count(tree: PyTree) -> int:
    """Number of numbers in all leaves."""
    return sum(row.count for row in parameter_table(tree))


def format_table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, then one total per collection and, of several collections, the sum."""
    totals: dict[str, int] = {}
    for row in rows:
        collection = row.path.split("/")[0]
        totals[collection] = totals.get(collection, 0) + row.count
    if len(totals) > 1:
        totals["total"] = sum(totals.values())
    cells = [(row.path, "x".join(map(str, row.shape)) or "scalar", row.dtype, f"{row.count:,}") for row in rows]
    cells += [(name, "", "", f"{total:,}") for name, total in totals.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        f"{path:<{widths[0]}}  {shape:<{widths[1]}}  {dtype:<{widths[2]}}  {number:>{widths[3]}}"
        for path, shape, dtype, number in cells
    )
