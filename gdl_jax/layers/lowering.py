"""Three functions that are all convolutions: each linear in both of its arguments, its derivatives the other two.

    conv(x, k)              y[p] = sum over a of x[stride p + dilation a - before] k[a]
    conv_transpose(y, k)    its input gradient
    kernel_gradient(x, y)   its kernel gradient

The set is closed under differentiation, so derivatives of every order (gradient penalties, path length) run through the
same three lowerings, and each is tuned once. This is the only file that calls lax's convolutions. It has no forward
mode: `jax.jvp` of a `custom_vjp` function is an error.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class Geometry(NamedTuple):
    """A convolution from an image of `size` to one of `output_size`: one entry per spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    """(before, after)."""
    dilation: tuple[int, ...]
    """Steps between the pixels that neighbouring entries of the kernel see."""
    groups: int = 1
    """Into how many parts the channels fall that do not see each other."""

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels that the kernel spans."""
        return tuple((a - 1) * d + 1 for a, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def output_size(self) -> tuple[int, ...]:
        """floor((size + padding - extent) / stride) + 1."""
        sizes = zip(self.size, self.extent, self.strides, self.padding, strict=True)
        return tuple((n + sum(pad) - e) // s + 1 for n, e, s, pad in sizes)


def layout(rank: int) -> lax.ConvDimensionNumbers:
    """(batch, *space, channels), (*space, in, out)."""
    space = tuple(range(1, rank - 1))
    image = (0, rank - 1, *space)
    return lax.ConvDimensionNumbers(image, (rank - 1, rank - 2, *range(rank - 2)), image)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *output out"]:
    """y[p] = sum over a of x[stride p + dilation a - before] k[a]."""
    return lax.conv_general_dilated(
        x,
        k,
        g.strides,
        g.padding,
        rhs_dilation=g.dilation,
        dimension_numbers=layout(x.ndim),
        feature_group_count=g.groups,
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv_transpose(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """The input gradient of `conv`: x[q] = sum over a, p with stride p + dilation a - before = q of y[p] k[a]."""
    if _is_subpixel_faster(g):
        return lax.platform_dependent(y, k, cpu=partial(_subpixel, g), default=partial(_dilated, g))
    return _dilated(g, y, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_gradient(
    g: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in_per_group out"]:
    """The kernel gradient of `conv`: k[a] = sum over p and the batch of x[stride p + dilation a - before] y[p].

    Written with explicit transposes (channels as batch, y dilated as kernel) because on CPU lax's own form runs about
    a hundred times slower where it comes from a transposed convolution or stands inside `scan`.
    """
    sizes = zip(g.size, g.extent, g.strides, g.padding, g.output_size, strict=True)
    padding = [(before, e - 1 + (m - 1) * s + 1 - n - before) for n, e, s, (before, _), m in sizes]
    slopes = lax.conv_general_dilated(
        x.swapaxes(0, -1),
        jnp.moveaxis(y, 0, -2),
        g.dilation,
        padding,
        rhs_dilation=g.strides,
        dimension_numbers=layout(x.ndim),
        batch_group_count=g.groups,
    )
    return jnp.moveaxis(slopes, 0, -2)


conv.defvjp(
    lambda g, x, k: (conv(g, x, k), (x, k)),
    lambda g, xk, dy: (conv_transpose(g, dy, xk[1]), kernel_gradient(g, xk[0], dy)),
)
conv_transpose.defvjp(
    lambda g, y, k: (conv_transpose(g, y, k), (y, k)),
    lambda g, yk, dx: (conv(g, dx, yk[1]), kernel_gradient(g, dx, yk[0])),
)
kernel_gradient.defvjp(
    lambda g, x, y: (kernel_gradient(g, x, y), (x, y)),
    lambda g, xy, dk: (conv_transpose(g, xy[1], dk), conv(g, xy[0], dk)),
)


# Lowerings of conv_transpose -----------------------------------------------------------------------------------------


def _is_subpixel_faster(g: Geometry) -> bool:
    """Where there are several parities to compute at once."""
    return min(g.strides) > 1 and g.groups == 1 and set(g.dilation) == {1}


def _transposed(g: Geometry, k: Float[Array, "*kernel in_per_group out"]) -> Float[Array, "*kernel out_per_group in"]:
    """The kernel with its two channel axes exchanged within every group."""
    *space, inputs, outputs = k.shape
    k = k.reshape(*space, inputs, g.groups, outputs // g.groups)
    return jnp.moveaxis(k, -1, -3).swapaxes(-1, -2).reshape(*space, outputs // g.groups, g.groups * inputs)


def _dilated(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """A convolution of y, zeros between its pixels, with the flipped kernel."""
    flipped = jnp.flip(_transposed(g, k), range(k.ndim - 2))
    sizes = zip(g.size, g.extent, g.strides, g.padding, g.output_size, strict=True)
    padding = [(e - 1 - before, n - (m - 1) * s - 1 + before) for n, e, s, (before, _), m in sizes]
    return lax.conv_general_dilated(
        y,
        flipped,
        (1,) * (y.ndim - 2),
        padding,
        lhs_dilation=g.strides,
        rhs_dilation=g.dilation,
        dimension_numbers=layout(y.ndim),
        feature_group_count=g.groups,
    )


def _subpixel(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """A small convolution of y to stride^rank times the channels, which are then interleaved (Shi et al. 2016).

    Pixel stride b + r - before of x, for r below stride, sees y[b - t] through k[stride t + r] for every tap t: the
    zeros between the pixels of y are never multiplied.
    """
    rank = len(g.size)
    space = range(rank)
    taps = [-(-a // s) for a, s in zip(g.kernel, g.strides, strict=True)]
    whole = [(0, t * s - a) for t, s, a in zip(taps, g.strides, g.kernel, strict=True)]
    k = jnp.pad(k, [*whole, (0, 0), (0, 0)])
    # (t0, r0, t1, r1, ..., in, out) -> (t0, t1, ..., out, r0, r1, ..., in), and the taps run backwards.
    k = k.reshape(*(n for pair in zip(taps, g.strides, strict=True) for n in pair), *k.shape[-2:])
    k = jnp.flip(k, range(0, 2 * rank, 2))
    k = k.transpose(*range(0, 2 * rank, 2), 2 * rank + 1, *range(1, 2 * rank, 2), 2 * rank)
    channels = k.shape[-1]
    k = k.reshape(*taps, k.shape[rank], -1)

    before = [pad[0] for pad in g.padding]
    first = [b // s for b, s in zip(before, g.strides, strict=True)]
    last = [(b + n - 1) // s for b, n, s in zip(before, g.size, g.strides, strict=True)]
    padding = [(t - 1 - f, e - (m - 1)) for t, f, e, m in zip(taps, first, last, g.output_size, strict=True)]
    blocks = lax.conv_general_dilated(y, k, (1,) * rank, padding, dimension_numbers=layout(y.ndim))
    size = blocks.shape[1:-1]
    blocks = blocks.reshape(len(y), *size, *g.strides, channels)
    blocks = blocks.transpose(0, *(axis for i in space for axis in (1 + i, 1 + rank + i)), 1 + 2 * rank)
    x = blocks.reshape(len(y), *(b * s for b, s in zip(size, g.strides, strict=True)), channels)
    starts = [b - f * s for b, f, s in zip(before, first, g.strides, strict=True)]
    ends = [a + n for a, n in zip(starts, g.size, strict=True)]
    return lax.slice(x, (0, *starts, 0), (len(y), *ends, channels))
