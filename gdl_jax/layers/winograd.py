"""Minimal filtering: convolutions of stride one with fewer products (Winograd 1980; Lavin, Gray 2016, section 4).

Two neighbouring outputs of r = 2 or 3 taps along an axis take r + 1 products instead of 2r. For images that is 9
instead of 16 (2x2 taps) or 16 instead of 36 (3x3); each is a matrix product over the channels. With the matrices B, G,
A of Lavin and Gray, applied along every axis,

    y = A^T [(G k) * (B^T x)]        of every tile of r + 1 pixels that begins at an even one
    dk = G^T [(B^T x) * (A dy)]      summed over the tiles

Both numbers of taps need no coefficients but 0, 1, -1 and 1/2, so that rounding is that of the plain sums.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from gdl_jax.layers.blocks import Pads, padded
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

    With strides, of the convolution with stride one over blocks of pixels that stand side by side as channels.
    """
    taps = [-(-a // s) for a, s in zip(g.kernel, g.strides, strict=True)]
    if not g.is_dense or x.dtype != jnp.float32 or not set(taps) <= set(G) or min(g.output_size) < 2:
        return False
    plain = math.prod(g.kernel) * math.prod(g.output_size)
    tiles = math.prod((t + 1) * -(-n // 2) for t, n in zip(taps, g.output_size, strict=True))
    inputs = x.shape[-1] * math.prod(g.strides)
    saved = (plain * x.shape[-1] - tiles * inputs) * outputs
    return saved >= least * tiles * (inputs + outputs)


def conv(
    padding: Pads, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """The convolution with stride one and two or three taps on every axis."""
    *kernel, inputs, outputs = k.shape
    size, tiles = _sizes(padding, x, kernel)
    seen = _transformed(B_T, kernel, _tiles_of(padding, x, kernel, tiles))
    taps = _transformed(G, kernel, {tap: k[tap] for tap in itertools.product(*map(range, kernel))})
    products = {i: seen[i].reshape(-1, inputs) @ taps[i] for i in seen}
    y = _transformed(A_T, kernel, products)
    # (output in tile, batch, tiles, out) -> (batch, tile, output in tile, ..., out)
    rank = len(kernel)
    y = jnp.stack([y[i].reshape(len(x), *tiles, outputs) for i in itertools.product(range(2), repeat=rank)])
    y = y.reshape(*(2,) * rank, *y.shape[1:])
    y = y.transpose(rank, *(axis for i in range(rank) for axis in (rank + 1 + i, i)), 2 * rank + 1)
    y = y.reshape(len(x), *(2 * t for t in tiles), outputs)
    return lax.slice(y, (0,) * y.ndim, (len(x), *size, outputs))


def kernel_gradient(
    padding: Pads,
    x: Float[Array, "batch *size in"],
    y: Float[Array, "batch *output out"],
    kernel: Sequence[int],
) -> Float[Array, "*kernel in out"]:
    """The derivative of <y, conv(x, k)> with respect to k."""
    size, tiles = _sizes(padding, x, kernel)
    seen = _transformed(B_T, kernel, _tiles_of(padding, x, kernel, tiles))
    y = padded(y, [(0, 2 * t - n) for n, t in zip(size, tiles, strict=True)])
    corners = itertools.product(range(2), repeat=len(kernel))
    cotangents = _transformed(
        {r: a.T for r, a in A_T.items()}, kernel, {i: _every_second(y, i, tiles) for i in corners}
    )
    products = {i: seen[i].reshape(-1, x.shape[-1]).T @ cotangents[i].reshape(-1, y.shape[-1]) for i in seen}
    slopes = _transformed({r: g.T for r, g in G.items()}, kernel, products)
    taps = itertools.product(*map(range, kernel))
    return jnp.stack([slopes[tap] for tap in taps]).reshape(*kernel, x.shape[-1], y.shape[-1])


def _sizes(padding: Pads, x: Array, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """Outputs, and tiles of two outputs, along every axis."""
    axes = zip(x.shape[1:], padding, kernel, strict=False)
    size = [n + sum(pad) - r + 1 for n, pad, r in axes]
    return size, [-(-n // 2) for n in size]


def _tiles_of(padding: Pads, x: Array, kernel: Sequence[int], tiles: Sequence[int]) -> Parts:
    axes = zip(x.shape[1:], padding, kernel, tiles, strict=False)
    x = padded(x, [(before, 2 * t + r - 1 - n - before) for n, (before, _), r, t in axes])
    return {i: _every_second(x, i, tiles) for i in itertools.product(*(range(r + 1) for r in kernel))}


def _every_second(x: Array, start: Sequence[int], num: Sequence[int]) -> Array:
    ends = [i + 2 * n - 1 for i, n in zip(start, num, strict=True)]
    return lax.slice(x, (0, *start, 0), (len(x), *ends, x.shape[-1]), (1, *(2 for _ in start), 1))


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
