"""Arrays of pixels put differently: padded, shifted, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gdl_jax.layers.geometry import Geometry

Pads = Sequence[tuple[int, int]]
"""(before, after) for every axis of space."""


def shifts(
    padding: Pads, strides: Sequence[int], dilation: Sequence[int], kernel: Sequence[int], x: Array, first: int = 1
) -> list[Array]:
    """What every tap of a kernel sees of an image whose axes of space begin at `first`."""
    rank = len(kernel)
    x = padded(x, padding, first)
    lead, size, rest = x.shape[:first], x.shape[first : first + rank], x.shape[first + rank :]
    spans = [(n - (a - 1) * d - 1) // s * s + 1 for n, a, s, d in zip(size, kernel, strides, dilation, strict=True)]
    parts = []
    for tap in itertools.product(*map(range, kernel)):
        starts = [i * d for i, d in zip(tap, dilation, strict=True)]
        ends = [a + n for a, n in zip(starts, spans, strict=True)]
        steps = (*(1 for _ in lead), *strides, *(1 for _ in rest))
        parts.append(lax.slice(x, (*(0 for _ in lead), *starts, *(0 for _ in rest)), (*lead, *ends, *rest), steps))
    return parts


def padded(x: Array, padding: Pads, first: int = 1) -> Array:
    """Zeros around the image, or less of it where the padding is negative."""
    config = [(a, b, 0) for a, b in padding]
    none = [(0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), none * first + config + none * (x.ndim - first - len(config)))


def split(x: Float[Array, "batch *size in"], block: Sequence[int]) -> list[int]:
    """Every axis of space as two: blocks, and pixels of a block."""
    return [part for n, b in zip(x.shape[1:-1], block, strict=True) for part in (n // b, b)]


def to_depth(x: Float[Array, "batch *size in"], block: Sequence[int]) -> Float[Array, "batch *blocks depth"]:
    """The pixels of a block as channels."""
    rank = len(block)
    x = x.reshape(len(x), *split(x, block), x.shape[-1])
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(*x.shape[: 1 + rank], -1)


def to_batch(x: Float[Array, "batch *size in"], block: Sequence[int]) -> Float[Array, "parts *blocks in"]:
    """The pixels of a block as images of their own."""
    rank = len(block)
    x = x.reshape(len(x), *split(x, block), x.shape[-1])
    x = x.transpose(0, *range(2, 2 * rank + 1, 2), *range(1, 2 * rank, 2), 2 * rank + 1)
    return x.reshape(-1, *x.shape[rank + 1 :])


def whole_blocks(g: Geometry, k: Float[Array, "*kernel in out"]) -> Float[Array, "*blocks in out"]:
    """The kernel filled up with zeros to as many blocks of `strides` pixels as it spans."""
    return padded(k, [(0, t * s - a) for t, s, a in zip(g.taps, g.strides, g.kernel, strict=True)], first=0)


def interleaved(parts: Mapping[tuple[int, ...], Array], shape: Sequence[int]) -> Float[Array, "batch pixels"]:
    """Pixels in the order of the image, from those at every place of a block, each `shape` times the channels.

    Neighbours are put side by side axis by axis, as which XLA copies them fast.
    """
    parts = {i: part.reshape(*shape, -1) for i, part in parts.items()}
    for axis in reversed(range(1, len(shape))):
        rows = {i[:-1]: [] for i in parts}
        for i in sorted(parts):
            rows[i[:-1]].append(parts[i])
        parts = {i: jnp.concatenate(row, -1).reshape(*shape[:axis], -1) for i, row in rows.items()}
    return parts[()]
