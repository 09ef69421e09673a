"""The three functions of `lowering` in forms that XLA compiles well on CPU, chosen by shape.

XLA makes a matrix product of a convolution there, and that suffers where few channels make it narrow. Where the kernel
is larger than the image (before padding), where channels are in groups, between dilated taps, and where lax
differentiates a transposed convolution, XLA writes plain loops instead, ten to a hundred times slower. Hence the forms
of this file: the same sums, put differently. `python -m benchmarks.convolutions` measures what each gains.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.layers import winograd
from gdl_jax.layers.blocks import Pads, interleaved, padded, shifts, split, to_batch, to_depth, whole_blocks
from gdl_jax.layers.channels import channel_dot
from gdl_jax.layers.geometry import Geometry, layout

FEW_OUT = 32
"""Output channels that leave the matrix product narrow."""

FEW_COLUMNS = 144
"""The widest product whose taps are all added afterwards; beyond it memory is what takes the time."""

FEW_IN = 8
"""Input channels of which patches are gathered explicitly for the kernel's gradient."""

SAVED = 45
"""Products that `winograd` has to save for every number that it writes."""

ACROSS = 1.5
"""Tiles of whole blocks over those of single phases, above which a transposed convolution goes phase by phase."""


def conv(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *output out"]:
    """See `lowering.conv`."""
    if _is_depthwise(g, k.shape[-2:]):
        return _depthwise(g, x, k)
    if g.groups > 1:
        return _by_group(conv, g, x, k)
    if _is_dilated(g):
        return _undilated(g, x, k)
    if _is_disjoint(g):
        return _windows(g, x) @ k.reshape(-1, k.shape[-1])
    if x.shape[-1] == 1:
        return (_patches(g, x) @ k.reshape(-1, k.shape[-1])).reshape(len(x), *g.output_size, -1)
    if winograd.saves(g, x, k.shape[-1], SAVED):
        return winograd.conv(g, x, k)
    if g.is_plain:
        return _plain(g.padding, x, k)
    if g.is_dense and x.shape[-1] <= 4:
        return _space_to_depth(g, x, k)
    return _lax_conv(g.padding, x, k, g.strides, g.dilation)


def conv_transpose(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """See `lowering.conv_transpose`."""
    if g.groups > 1 and not _is_depthwise(g, k.shape[-2:]):
        return _by_group(conv_transpose, g, y, k)
    if _is_disjoint(g):
        return _from_windows(g, y @ k.reshape(-1, k.shape[-1]).T)
    even = all(a % s == 0 for a, s in zip(g.kernel, g.strides, strict=True))
    ones = (1,) * len(g.size)
    blocks = Geometry(g.output_size, g.taps, ones, g.phase_padding, ones)
    if g.is_dense and even and winograd.saves(blocks, y, k.shape[-2] * math.prod(g.strides), SAVED):
        return _by_phase(g, y, k) if _reaches_across(g) else winograd.conv_transpose(g, y, k)
    if g.is_dense and not g.is_plain:
        return _subpixel(g, y, k) if even or k.shape[-2] <= FEW_OUT else _by_phase(g, y, k)
    if max(g.strides) > 1 and set(g.dilation) == {1}:
        return _by_phase(g, y, k)

    # A convolution of y, zeros between its pixels, with the flipped kernel.
    spread = lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *((0, 0, s - 1) for s in g.strides), (0, 0, 0)])
    size = spread.shape[1:-1]
    axes = zip(g.size, g.extent, g.padding, size, strict=True)
    padding = tuple((e - 1 - before, n + before - m) for n, e, (before, _), m in axes)
    flipped = jnp.flip(k if g.groups > 1 else k.swapaxes(-1, -2), range(len(size)))
    return conv(g._replace(size=size, strides=ones, padding=padding), spread, flipped)


def kernel_gradient(
    g: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in_per_group out"]:
    """See `lowering.kernel_gradient`."""
    if _is_depthwise(g, (x.shape[-1] // g.groups, y.shape[-1])):
        parts = shifts(g.padding, g.strides, g.dilation, g.kernel, x)
        slopes = jnp.stack([channel_dot(part, y) for part in parts]).astype(y.dtype)
        return slopes.reshape(*g.kernel, 1, -1)
    if g.groups > 1:
        return _by_group(kernel_gradient, g, x, y)
    if _is_dilated(g) and x.shape[-1] > FEW_IN:
        plain, parts = _interleaved(g, x)
        grown = [(0, b * d - m) for b, d, m in zip(plain.output_size, g.dilation, g.output_size, strict=True)]
        return kernel_gradient(plain, parts, to_batch(padded(y, grown), g.dilation))
    if g.is_plain and y.shape[-1] < x.shape[-1] and y.shape[-1] <= FEW_OUT:
        # Of y with x as kernel, which gives the taps in reverse order.
        reverse = tuple((a - 1 - before, a - 1 - after) for a, (before, after) in zip(g.kernel, g.padding, strict=True))
        slopes = kernel_gradient(g._replace(size=g.output_size, padding=reverse), y, x)
        return jnp.flip(slopes, range(len(g.size))).swapaxes(-1, -2)
    shape = (*g.kernel, x.shape[-1], y.shape[-1])
    if _is_disjoint(g):
        windows = _windows(g, x)
        return (windows.reshape(-1, windows.shape[-1]).T @ y.reshape(-1, y.shape[-1])).reshape(shape)
    if winograd.saves(g, x, y.shape[-1], SAVED):
        return winograd.kernel_gradient(g, x, y)
    if g.is_dense and x.shape[-1] <= FEW_IN:
        return (_patches(g, x).T @ y.reshape(-1, y.shape[-1])).reshape(shape)
    # A convolution with the channels as batch, and the batch as channels.
    axes = zip(g.size, g.extent, g.strides, g.padding, g.output_size, strict=True)
    padding = [(before, e - 1 + (m - 1) * s + 1 - n - before) for n, e, s, (before, _), m in axes]
    # XLA would compute x once more inside of its transposition, from operands that it reads column by column.
    x, y = lax.optimization_barrier((x, y))
    slopes = _lax_conv(padding, x.swapaxes(0, -1), jnp.moveaxis(y, 0, -2), g.dilation, g.strides)
    return jnp.moveaxis(slopes, 0, -2)


# Forms of stride one --------------------------------------------------------------------------------------------------


def _lax_conv(
    padding: Pads,
    x: Float[Array, "batch *size in"],
    k: Float[Array, "*kernel in_per_group out"],
    strides: Sequence[int] | None = None,
    dilation: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
) -> Float[Array, "batch *output out"]:
    """The convolution of lax, with the padding apart where it is negative or the kernel is larger than the image.

    XLA turns the second into loops; and the first into wrong numbers (jaxlib 0.10.2).
    """
    ones = (1,) * (x.ndim - 2)
    strides, dilation = strides or ones, dilation or ones
    extent = [(a - 1) * d + 1 for a, d in zip(k.shape, dilation, strict=False)]
    if min(map(min, padding)) < 0 or any(e > n for e, n in zip(extent, x.shape[1:-1], strict=True)):
        # The barrier keeps XLA from making the two one again.
        x, padding = lax.optimization_barrier(padded(x, padding)), [(0, 0)] * len(ones)
    return lax.conv_general_dilated(
        x,
        k,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=layout(x.ndim),
        preferred_element_type=dtype,
    )


def _plain(
    padding: Pads, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """To fewer channels it is a convolution to those of several taps of the kernel, which are then shifted and added.

    Of all taps, or of those in a column: the same arithmetic in a wider matrix product.
    """
    *kernel, inputs, outputs = k.shape
    if inputs < outputs:
        return _lax_conv(padding, x, k)
    if math.prod(kernel) * outputs <= FEW_COLUMNS:
        folded = len(kernel)
    elif len(kernel) > 1 and outputs <= FEW_OUT:
        folded = 1
    else:
        return _lax_conv(padding, x, k)
    taps, rest = kernel[:folded], kernel[folded:]
    k = jnp.moveaxis(k.reshape(-1, *rest, inputs, outputs), 0, -2)
    z = _lax_conv(padding, x, k.reshape(*(1 for _ in taps), *rest, inputs, -1), dtype=jnp.float32)
    shape = (len(x), *(n - a + 1 for n, a in zip(z.shape[1:], taps, strict=False)), *z.shape[1 + folded : -1], outputs)
    total = jnp.zeros((), z.dtype)
    for i, tap in enumerate(itertools.product(*map(range, taps))):
        start = (0, *tap, *(0 for _ in rest), i * outputs)
        total = total + lax.slice(z, start, [a + n for a, n in zip(start, shape, strict=True)])
    return total.astype(x.dtype)


# Strides --------------------------------------------------------------------------------------------------------------


def _is_disjoint(g: Geometry) -> bool:
    """No pixel is seen twice, so that the whole is a matrix product."""
    return g.is_dense and all(a <= s or m == 1 for a, s, m in zip(g.kernel, g.strides, g.output_size, strict=True))


def _windows(g: Geometry, x: Float[Array, "batch *size in"]) -> Float[Array, "batch *output seen"]:
    """What every output sees."""
    rank, block = len(g.size), _steps(g)
    axes = zip(g.size, g.padding, g.output_size, block, strict=True)
    x = padded(x, [(before, m * b - n - before) for n, (before, _), m, b in axes])
    x = x.reshape(len(x), *split(x, block), x.shape[-1])
    for i, a in enumerate(g.kernel):
        x = lax.slice_in_dim(x, 0, a, axis=2 * i + 2)
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(len(x), *g.output_size, -1)


def _from_windows(g: Geometry, z: Float[Array, "batch *output seen"]) -> Float[Array, "batch *size in"]:
    """The transpose of `_windows`."""
    rank, block = len(g.size), _steps(g)
    x = z.reshape(len(z), *g.output_size, *g.kernel, -1)
    x = x.transpose(0, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)), 1 + 2 * rank)
    grown = [pair for a, b in zip(g.kernel, block, strict=True) for pair in ((0, 0), (0, b - a))]
    x = padded(x, grown).reshape(len(z), *(m * b for m, b in zip(g.output_size, block, strict=True)), -1)
    axes = zip(g.size, g.padding, x.shape[1:-1], strict=True)
    return padded(x, [(-before, n + before - m) for n, (before, _), m in axes])


def _steps(g: Geometry) -> list[int]:
    """Pixels from one window to the next."""
    return [s if m > 1 else a for s, m, a in zip(g.strides, g.output_size, g.kernel, strict=True)]


def _space_to_depth(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """A convolution of stride one over blocks of pixels, whose channels stand side by side."""
    blocks = [m - 1 + t for m, t in zip(g.output_size, g.taps, strict=True)]
    sizes = zip(g.size, g.strides, g.padding, blocks, strict=True)
    x = padded(x, [(before, b * s - n - before) for n, s, (before, _), b in sizes])
    *space, inputs, outputs = (k := whole_blocks(g, k)).shape
    k = to_depth(k.reshape(1, *space, inputs * outputs), g.strides).reshape(*g.taps, -1, outputs)
    return _plain([(0, 0)] * len(space), to_depth(x, g.strides), k)


def _subpixel(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *size in"]:
    """A small convolution of y to stride^rank times the channels, which are then interleaved (Shi et al. 2016).

    Pixel stride b + r - before of x, for r below stride, sees y[b - t] through k[stride t + r] for every tap t: the
    zeros between the pixels of y are never multiplied.
    """
    rank = len(g.size)
    taps, k = g.taps, whole_blocks(g, k)
    # (t0, r0, t1, r1, ..., in, out) -> (t0, t1, ..., out, r0, r1, ..., in), and the taps run backwards.
    k = k.reshape(*(n for pair in zip(taps, g.strides, strict=True) for n in pair), *k.shape[-2:])
    k = jnp.flip(k, range(0, 2 * rank, 2))
    k = k.transpose(*range(0, 2 * rank, 2), 2 * rank + 1, *range(1, 2 * rank, 2), 2 * rank)
    return _from_depth(g, _plain(g.phase_padding, y, k.reshape(*taps, k.shape[rank], -1)))


def _by_phase(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *size in"]:
    """A transposed convolution of stride one for the pixels stride j + offset of every offset, with taps of their own.

    Where the strides do not divide the kernel, `_subpixel` multiplies zeros; and it gives a block that lies across the
    border whole.
    """
    size, ones = tuple(-(-n // s) for n, s in zip(g.size, g.strides, strict=True)), (1,) * len(g.size)
    parts = {}
    for offset in itertools.product(*map(range, g.strides)):
        places = [divmod(o + before, s) for o, (before, _), s in zip(offset, g.padding, g.strides, strict=True)]
        part = k[tuple(slice(r, None, s) for (_, r), s in zip(places, g.strides, strict=True))]
        taps = part.shape[: len(size)]
        axes = zip(size, taps, places, g.output_size, strict=True)
        padding = tuple((first, m - 1 + t - n - first) for n, t, (first, _), m in axes)
        if math.prod(taps):
            parts[offset] = conv_transpose(Geometry(size, taps, ones, padding, ones, g.groups), y, part)
        else:
            parts[offset] = jnp.zeros((len(y), *size, k.shape[-2] * g.groups), y.dtype)
    x = interleaved(parts, (len(y), *size))
    x = x.reshape(len(y), *(n * s for n, s in zip(size, g.strides, strict=True)), -1)
    return lax.slice(x, (0,) * x.ndim, (len(x), *g.size, x.shape[-1]))


def _reaches_across(g: Geometry) -> bool:
    """Blocks across the border, of which only a part is in the image, take many tiles more."""

    def tiles(size: Sequence[int]) -> int:
        return math.prod(-(-n // 2) for n in size)

    of_phase = [-(-n // s) for n, s in zip(g.size, g.strides, strict=True)]
    return tiles([last - first + 1 for first, last in g.phases]) > ACROSS * tiles(of_phase)


def _from_depth(g: Geometry, blocks: Float[Array, "batch *blocks depth"]) -> Float[Array, "batch *size in"]:
    """The inverse of `to_depth`, without what lies outside the image."""
    rank, size = len(g.size), blocks.shape[1:-1]
    x = blocks.reshape(len(blocks), *size, *g.strides, -1)
    x = x.transpose(0, *(axis for i in range(rank) for axis in (1 + i, 1 + rank + i)), 1 + 2 * rank)
    x = x.reshape(len(x), *(b * s for b, s in zip(size, g.strides, strict=True)), -1)
    ranges = zip(g.padding, g.phases, g.strides, strict=True)
    starts = [before - first * s for (before, _), (first, _), s in ranges]
    return lax.slice(x, (0, *starts, 0), (len(x), *(a + n for a, n in zip(starts, g.size, strict=True)), x.shape[-1]))


# Dilation and groups --------------------------------------------------------------------------------------------------


def _is_dilated(g: Geometry) -> bool:
    """By dilation alone."""
    return g.groups == 1 and max(g.dilation) > 1 and set(g.strides) == {1}


def _undilated(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in out"]
) -> Float[Array, "batch *output out"]:
    """A convolution of every image that the taps see together: of every dilation-th pixel, as a batch."""
    plain, parts = _interleaved(g, x)
    y = conv(plain, parts, k)
    rank = len(g.size)
    y = y.reshape(len(x), *g.dilation, *plain.output_size, -1)
    y = y.transpose(0, *(axis for i in range(rank) for axis in (rank + 1 + i, 1 + i)), 2 * rank + 1)
    y = y.reshape(len(x), *(b * d for b, d in zip(plain.output_size, g.dilation, strict=True)), -1)
    return lax.slice(y, (0,) * y.ndim, (len(y), *g.output_size, y.shape[-1]))


def _interleaved(g: Geometry, x: Float[Array, "batch *size in"]) -> tuple[Geometry, Float[Array, "parts *size in"]]:
    """The images of `_undilated`, padded, and the geometry of their convolution."""
    blocks = [a - 1 - (-m // d) for a, m, d in zip(g.kernel, g.output_size, g.dilation, strict=True)]
    sizes = zip(g.size, g.padding, blocks, g.dilation, strict=True)
    x = padded(x, [(before, b * d - n - before) for n, (before, _), b, d in sizes])
    ones = (1,) * len(blocks)
    return Geometry(tuple(blocks), g.kernel, ones, ((0, 0),) * len(blocks), ones), to_batch(x, g.dilation)


def _is_depthwise(g: Geometry, channels: tuple[int, ...]) -> bool:
    """Every channel for itself: with (in / groups, out) channels in the kernel."""
    return g.groups > 1 and channels == (1, g.groups)


def _depthwise(
    g: Geometry, x: Float[Array, "batch *size channels"], k: Float[Array, "*kernel 1 channels"]
) -> Float[Array, "batch *output channels"]:
    """Products and sums, pixel by pixel."""
    parts = shifts(g.padding, g.strides, g.dilation, g.kernel, x)
    total = jnp.zeros((), jnp.float32)
    for part, weight in zip(parts, k.astype(jnp.float32).reshape(-1, k.shape[-1]), strict=True):
        total = total + part.astype(jnp.float32) * weight.reshape((1,) * (x.ndim - 1) + (-1,))
    return total.astype(x.dtype)


def _by_group(function: Callable[[Geometry, Array, Array], Array], g: Geometry, a: Array, b: Array) -> Array:
    """One of the three functions for every group by itself."""
    pairs = zip(jnp.split(a, g.groups, -1), jnp.split(b, g.groups, -1), strict=True)
    return jnp.concatenate([function(g._replace(groups=1), *pair) for pair in pairs], -1)


def _patches(g: Geometry, x: Float[Array, "batch *size in"]) -> Float[Array, "rows seen"]:
    """What the taps see, a row for every pixel; in memory a tap is one piece, as which it is copied fast."""
    parts = shifts(g.padding, g.strides, g.dilation, g.kernel, jnp.moveaxis(x, -1, 0), first=2)
    return jnp.stack(parts).reshape(len(parts) * x.shape[-1], -1).T
