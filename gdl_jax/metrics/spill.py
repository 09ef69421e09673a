"""Arrays of any length in a file, so that the memory of a measure does not grow with the number of images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import numpy as np
from jaxtyping import Shaped

ROWS = 4096
"""Rows that are looked at together."""


def spilled(parts: Iterable[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """What comes in parts, one part after another, in read-only arrays.

    They lie in files without names in the folder for temporary files ($TMPDIR), which go when the arrays go: their
    pages are the system's to drop and to read again.

    Args:
        parts: one tuple per part, all of one length; the arrays at one place of them differ in their first axis only.

    Raises:
        ValueError: there is no part.
        OSError: the disk is full.
    """
    with ExitStack() as stack:
        files, num, like = [], 0, ()
        for part in parts:
            if not files:
                files = [stack.enter_context(tempfile.TemporaryFile(prefix="gdl_jax_")) for _ in part]
                like = tuple((array.dtype, array.shape[1:]) for array in part)
            for file, array in zip(files, part, strict=True):
                file.write(np.ascontiguousarray(array).data)
            num += len(part[0])
        if not num:
            raise ValueError("There is nothing to look at.")
        for file in files:
            file.flush()
        # A view as a plain array: reductions of a memmap are memmaps too.
        return tuple(
            np.asarray(np.memmap(file, dtype, "r", shape=(num, *shape)))
            for file, (dtype, shape) in zip(files, like, strict=True)
        )


def blocks(array: Shaped[np.ndarray, "num ..."], rows: int | None = None) -> Iterator[Shaped[np.ndarray, "_block ..."]]:
    """So many rows at a time, `ROWS` by default; the last block is shorter."""
    rows = rows or ROWS
    for at in range(0, len(array), rows):
        yield array[at : at + rows]
