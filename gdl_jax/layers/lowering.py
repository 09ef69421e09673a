"""Three functions that are all convolutions: each linear in both of its arguments, its derivatives the other two.

    conv(x, k)              y[p] = sum over a of x[stride p + dilation a - before] k[a]
    conv_transpose(y, k)    its input gradient
    kernel_gradient(x, y)   its kernel gradient

The set is closed under differentiation, so derivatives of every order (gradient penalties, path length) run through the
same three, and each is tuned once. It has no forward mode: `jax.jvp` of a `custom_vjp` function is an error.

On accelerators the three are lax's convolution and lax's own transposes of it, which XLA hands to the vendor's library;
on CPU `cpu_lowering` chooses by shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
from jax import lax
from jaxtyping import Array, Float

from gdl_jax.layers import cpu_lowering
from gdl_jax.layers.geometry import Geometry, layout


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *output out"]:
    """y[p] = sum over a of x[stride p + dilation a - before] k[a]."""
    return _choose(cpu_lowering.conv, lax_conv, g, x, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def conv_transpose(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """The input gradient of `conv`: x[q] = sum over a, p with stride p + dilation a - before = q of y[p] k[a]."""
    return _choose(cpu_lowering.conv_transpose, lax_conv_transpose, g, y, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_gradient(
    g: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in_per_group out"]:
    """The kernel gradient of `conv`: k[a] = sum over p and the batch of x[stride p + dilation a - before] y[p]."""
    return _choose(cpu_lowering.kernel_gradient, lax_kernel_gradient, g, x, y)


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


def lax_conv(
    g: Geometry, x: Float[Array, "batch *size in"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *output out"]:
    """`conv` as lax has it."""
    return lax.conv_general_dilated(
        x,
        k,
        g.strides,
        g.padding,
        rhs_dilation=g.dilation,
        dimension_numbers=layout(x.ndim),
        feature_group_count=g.groups,
    )


def lax_conv_transpose(
    g: Geometry, y: Float[Array, "batch *output out"], k: Float[Array, "*kernel in_per_group out"]
) -> Float[Array, "batch *size in"]:
    """`conv_transpose` as lax differentiates."""
    x = jax.ShapeDtypeStruct((len(y), *g.size, k.shape[-2] * g.groups), y.dtype)
    (found,) = jax.linear_transpose(lambda x: lax_conv(g, x, k), x)(y)
    return found


def lax_kernel_gradient(
    g: Geometry, x: Float[Array, "batch *size in"], y: Float[Array, "batch *output out"]
) -> Float[Array, "*kernel in_per_group out"]:
    """`kernel_gradient` as lax differentiates."""
    k = jax.ShapeDtypeStruct((*g.kernel, x.shape[-1] // g.groups, y.shape[-1]), x.dtype)
    (found,) = jax.linear_transpose(lambda k: lax_conv(g, x, k), k)(y)
    return found


def _choose(on_cpu: Callable[..., Array], elsewhere: Callable[..., Array], g: Geometry, *operands: Array) -> Array:
    return lax.platform_dependent(*operands, cpu=partial(on_cpu, g), default=partial(elsewhere, g))
