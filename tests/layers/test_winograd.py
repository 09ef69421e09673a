from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers import winograd
from gdl_jax.layers.geometry import Geometry
from gdl_jax.layers.lowering import lax_conv, lax_conv_transpose, lax_kernel_gradient


@pytest.mark.parametrize("taps", [2, 3])
def test_matrices_are_the_filter_of_two_outputs(taps):
    for tap, pixel in itertools.product(range(taps), range(taps + 1)):
        k, x = np.eye(taps)[tap], np.eye(taps + 1)[pixel]
        found = winograd.A_T[taps] @ ((winograd.G[taps] @ k) * (winograd.B_T[taps] @ x))
        np.testing.assert_array_equal(found, [x[i : i + taps] @ k for i in range(2)])


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "padding"),
    [
        ((9,), (3,), (1,), ((1, 1),)),
        ((8,), (2,), (1,), ((0, 0),)),
        ((10,), (4,), (2,), ((1, 1),)),
        ((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1))),
        ((7, 6), (2, 2), (1, 1), ((1, 0), (1, 1))),
        ((5, 8), (2, 3), (1, 1), ((0, 1), (2, 2))),
        ((9, 9), (3, 3), (1, 1), ((-1, 1), (0, -2))),
        ((9, 8), (4, 6), (2, 2), ((1, 2), (2, 1))),
        ((7, 9), (2, 6), (1, 3), ((1, 1), (3, 2))),
        ((4, 5, 6), (3, 2, 3), (1, 1, 1), ((1, 1), (0, 1), (1, 0))),
        ((4, 6, 8), (4, 4, 4), (2, 2, 2), ((1, 1), (1, 1), (1, 1))),
    ],
    ids=str,
)
def test_rounding_is_that_of_lax(size, kernel, strides, padding):
    g = Geometry(size, kernel, strides, padding, (1,) * len(size))
    rng = np.random.default_rng(0)
    shapes = (3, *size, 40), (3, *g.output_size, 24), (*kernel, 40, 24)
    x, y, k = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)

    with jax.enable_x64(True):
        exact = [np.asarray(a, np.float64) for a in (x, y, k)]
        wide = tuple((max(a, 0), max(b, 0)) for a, b in padding)
        cut = tuple(slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(size, padding, strict=True))
        narrow = Geometry(tuple(s.stop - s.start for s in cut), kernel, strides, wide, g.dilation)
        seen = exact[0][:, *cut]
        back = np.zeros_like(exact[0])
        back[:, *cut] = lax_conv_transpose(narrow, exact[1], exact[2])
        wanted = lax_conv(narrow, seen, exact[2]), back, lax_kernel_gradient(narrow, seen, exact[1])
    found = winograd.conv(g, x, k), winograd.conv_transpose(g, y, k), winograd.kernel_gradient(g, x, y)
    for a, b in zip(found, map(np.asarray, wanted), strict=True):
        assert a.shape == b.shape
        # The largest errors of lax on the same operands are 1e-6 and less of the largest result.
        assert np.abs(np.asarray(a) - b).max() < 3e-6 * np.abs(b).max()


def test_what_it_saves():
    def saves(kernel, stride, size, inputs, outputs, least, dtype=jnp.float32):
        g = Geometry((size,) * 2, (kernel,) * 2, (stride,) * 2, ((1, 1),) * 2, (1, 1))
        return winograd.saves(g, jax.ShapeDtypeStruct((8, size, size, inputs), dtype), outputs, least)

    # 36 products of four outputs become 16, and 16 (inputs + outputs) numbers are written.
    assert saves(3, 1, 8, 64, 64, 40)
    assert not saves(3, 1, 8, 64, 64, 41)
    # With stride two and 4x4 taps 64 become 36, and 9 (4 inputs + outputs) numbers are written.
    assert saves(4, 2, 8, 64, 128, 66)
    assert not saves(4, 2, 8, 64, 128, 67)
    assert not saves(5, 1, 8, 512, 512, 0), "more than three taps"
    assert not saves(3, 2, 9, 512, 512, 1), "zeros among the taps eat up what is saved"
    assert not saves(3, 1, 8, 512, 512, 1, jnp.bfloat16)
