"""Minimal filtering: convolutions of stride one with fewer products (Winograd 1980; Lavin, Gray 2016, section 4).

Two neighbouring outputs of r = 2 or 3 taps along an axis take r + 1 products instead of 2r. For images that is 9
instead of 16 (2x2 taps) or 16 instead of 36 (3x3); each is a matrix product over the channels. With the matrices B, G,
A of Lavin and Gray, applied along every axis,

    y = A^T [(G k) * (B^T x)]        of every tile of r + 1 pixels that begins at an even one
    dk = G^T [(B^T x) * (A dy)]      summed over the tiles

Both numbers of taps need no coefficients but 0, 1, -1 and 1/2, so that rounding is that of the plain sums.

With stride s an image is one of blocks of s^rank pixels, which stand side by side as channels, and what a tile sees of
them is put together only after B: XLA computes the loops of a whole that is reshaped first element by element.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from gdl_jax.layers.blocks import Pads, interleaved, padded, whole_blocks
from gdl_jax.layers.geometry import Geometry

Matrix = np.ndarray
Parts = dict[tuple[int, ...], Array]
"""One array for every index of a tile."""

B_T: Mapping[int, Matrix] = {
    2: np.array([[1, -1, 0], [0, 1, 0], [0, -1, 1]]),
    3: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
}
G: Mapping[int, Matrix] = {
    2: np.array([[1, 0], [1, 1], [0, 1]]),
    3: np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
}
A_T: Mapping[int, Matrix] = {2: np.array([[1, 1, 0], [0, 1, 1]]), 3: np.array([[1, 1, 1, 0], [0, 1, -1, -1]])}


def saves(g: Geometry, x: Array, outputs: int, least: int) -> bool:
    """Whether the products saved are `least` times as many as the numbers that the transforms write, or more.

    With strides, of the convolution with stride one over blocks of pixels.
    """
    if not g.is_dense or x.dtype != jnp.float32 or not set(g.taps) <= set(G) or min(g.output_size) < 2:
        return False
    plain = math.prod(g.kernel) * math.prod(g.output_size)
    tiles = math.prod((t + 1) * -(-n // 2) for t, n in zip(g.taps, g.output_size, strict=True))
    inputs = x.shape[-1] * math.prod(g.strides)
    saved = (plain * x.shape[-1] - tiles * inputs) * outputs
    return saved >= least * tiles * (inputs + outputs)


def conv(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """See `lowering.conv`; two or three taps per stride on every axis."""
    tiles = _halves(g.output_size)
    seen = _seen(g.padding, x, g.taps, g.strides, tiles)
    kernels = _transformed(G, g.taps, _by_tap(g, k))
    products = {i: seen[i].reshape(-1, seen[i].shape[-1]) @ kernels[i].reshape(-1, k.shape[-1]) for i in seen}
    y = interleaved(_transformed(A_T, g.taps, products), (len(x), *tiles))
    return _cropped(y.reshape(len(x), *(2 * t for t in tiles), -1), (0,) * len(tiles), g.output_size)


def conv_transpose(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *size in"]:
    """See `lowering.conv_transpose`; two or three taps per stride on every axis.

    A convolution of y to the pixels of blocks as channels (`cpu_lowering._subpixel`). The kernel is never transposed:
    the products sum over its last axis.
    """
    rank, inputs = len(g.size), k.shape[-2]
    blocks = [last - first + 1 for first, last in g.phases]
    tiles = _halves(blocks)
    seen = _seen(g.phase_padding, y, g.taps, (1,) * rank, tiles)
    backwards = {tuple(t - 1 - i for t, i in zip(g.taps, tap, strict=True)): v for tap, v in _by_tap(g, k).items()}
    kernels = _transformed(G, g.taps, backwards)
    products = {i: seen[i].reshape(-1, seen[i].shape[-1]) @ kernels[i].reshape(-1, k.shape[-1]).T for i in seen}
    # Output i of a tile has the pixels of a block as channels: those along the last axis stay where they are.
    run = g.strides[-1] * inputs
    pixels = {
        (*(o * s + r for o, s, r in zip(i, g.strides, phase, strict=False)), i[-1]): part[:, n * run : (n + 1) * run]
        for i, part in _transformed(A_T, g.taps, products).items()
        for n, phase in enumerate(_phases(g.strides))
    }
    x = interleaved(pixels, (len(y), *tiles))
    x = x.reshape(len(y), *(2 * t * s for t, s in zip(tiles, g.strides, strict=True)), inputs)
    starts = [before - first * s for (before, _), (first, _), s in zip(g.padding, g.phases, g.strides, strict=True)]
    return _cropped(x, starts, g.size)


def kernel_gradient(
    g: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in out"]:
    """See `lowering.kernel_gradient`; two or three taps per stride on every axis."""
    rank, inputs, outputs = len(g.size), x.shape[-1], y.shape[-1]
    tiles = _halves(g.output_size)
    seen = _seen(g.padding, x, g.taps, g.strides, tiles)
    y = padded(y, [(0, 2 * t - n) for n, t in zip(g.output_size, tiles, strict=True)])
    corners = {i: _every_second(y, i, tiles) for i in itertools.product(range(2), repeat=rank)}
    cotangents = _transformed({r: a.T for r, a in A_T.items()}, g.taps, corners)
    rows = {i: part.reshape(-1, part.shape[-1]).T for i, part in seen.items()}
    if max(g.strides) > 1:
        # XLA's products down the columns of both operands are a third slower; what was put together it turns fast.
        rows = lax.optimization_barrier(rows)
    products = {i: rows[i] @ cotangents[i].reshape(-1, outputs) for i in rows}
    slopes = _transformed({r: b.T for r, b in G.items()}, g.taps, products)
    run = g.strides[-1] * inputs
    pixels = {
        (*(t * s + r for t, s, r in zip(tap, g.strides, phase, strict=False)), tap[-1]): part[n * run : (n + 1) * run]
        for tap, part in slopes.items()
        for n, phase in enumerate(_phases(g.strides))
    }
    k = jnp.concatenate([pixels[i] for i in sorted(pixels)])
    k = k.reshape(*(t * s for t, s in zip(g.taps, g.strides, strict=True)), inputs, outputs)
    return lax.slice(k, (0,) * k.ndim, (*g.kernel, inputs, outputs))


def _halves(size: Sequence[int]) -> list[int]:
    """Tiles of two outputs along every axis."""
    return [-(-n // 2) for n in size]


def _phases(strides: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Places in a block along all axes but the last, whose neighbours in memory are the channels anyway."""
    return itertools.product(*map(range, strides[:-1]))


def _by_tap(g: Geometry, k: Float[Array, "*kernel in out"]) -> Parts:
    """What the kernel has for every block that is seen: (*strides, in, out)."""
    rank = len(g.kernel)
    k = whole_blocks(g, k).reshape(*(n for pair in zip(g.taps, g.strides, strict=True) for n in pair), *k.shape[rank:])
    every = slice(None)
    return {tap: k[tuple(at for i in tap for at in (i, every))] for tap in itertools.product(*map(range, g.taps))}


def _seen(padding: Pads, x: Array, taps: Sequence[int], strides: Sequence[int], tiles: Sequence[int]) -> Parts:
    """B^T x of every tile: (batch, *tiles, depth)."""
    axes = zip(x.shape[1:], padding, strides, taps, tiles, strict=False)
    x = padded(x, [(before, (2 * t + r - 1) * s - n - before) for n, (before, _), s, r, t in axes])
    x = x.reshape(*x.shape[:-2], x.shape[-2] // strides[-1], -1)
    steps = [*strides[:-1], 1]
    parts = []
    for phase in _phases(strides):
        starts = {
            i: [j * s + r for j, s, r in zip(i, steps, (*phase, 0), strict=True)]
            for i in itertools.product(*(range(r + 1) for r in taps))
        }
        parts.append(_transformed(B_T, taps, {i: _every_second(x, at, tiles, steps) for i, at in starts.items()}))
    return {i: jnp.concatenate([part[i] for part in parts], -1) for i in parts[0]}


def _every_second(x: Array, start: Sequence[int], num: Sequence[int], block: Sequence[int] | None = None) -> Array:
    """Every second pixel, or block of pixels."""
    steps = [2 * s for s in block or [1] * len(num)]
    ends = [i + (n - 1) * s + 1 for i, n, s in zip(start, num, steps, strict=True)]
    return lax.slice(x, (0, *start, 0), (len(x), *ends, x.shape[-1]), (1, *steps, 1))


def _cropped(x: Array, starts: Sequence[int], size: Sequence[int]) -> Array:
    ends = [a + n for a, n in zip(starts, size, strict=True)]
    return lax.slice(x, (0, *starts, 0), (len(x), *ends, x.shape[-1]))


def _transformed(matrices: Mapping[int, Matrix], kernel: Sequence[int], parts: Parts) -> Parts:
    """Each axis of the index multiplied by the matrix of its number of taps."""
    for axis, taps in enumerate(kernel):
        matrix = matrices[taps]
        rest = {(i[:axis], i[axis + 1 :]) for i in parts}
        parts = {
            (*before, row, *after): _weighted(matrix[row], [parts[*before, i, *after] for i in range(matrix.shape[1])])
            for before, after in rest
            for row in range(len(matrix))
        }
    return parts


def _weighted(weights: np.ndarray, parts: Sequence[Array]) -> Array:
    """The sum of the parts, each times its weight, without products by 1."""
    total = None
    for weight, part in zip(weights, parts, strict=True):
        if weight:
            term = part if abs(weight) == 1 else abs(float(weight)) * part
            total = (term if weight > 0 else -term) if total is None else total + term if weight > 0 else total - term
    return total
