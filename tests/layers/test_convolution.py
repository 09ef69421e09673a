"""Convolutions against NumPy loops that are the definition, against lax, and in their alignment."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from gdl_jax.layers import cpu_lowering
from gdl_jax.layers.convolution import Conv, ConvTranspose, explicit_padding
from gdl_jax.layers.geometry import Geometry
from gdl_jax.layers.lowering import conv, conv_transpose, kernel_gradient


def geometry(size, kernel, strides, padding, dilation=1, groups=1):
    return Geometry(size, kernel, strides, padding, (dilation,) * len(size), groups)


GEOMETRIES = [
    geometry((8, 6), (4, 4), (2, 2), ((1, 1), (1, 1))),
    geometry((8, 6), (3, 3), (2, 2), ((0, 1), (0, 1))),
    geometry((7, 5), (5, 5), (2, 2), ((2, 2), (2, 2))),
    geometry((8, 6), (5, 5), (2, 2), ((1, 2), (1, 2))),
    geometry((6, 7), (3, 4), (1, 1), ((1, 1), (1, 2))),
    geometry((8, 7), (3, 3), (2, 2), ((0, 0), (0, 0))),  # a row that no output sees
    geometry((4, 4), (4, 4), (1, 1), ((0, 0), (0, 0))),
    geometry((2, 2), (5, 5), (2, 2), ((2, 2), (2, 2))),  # a kernel larger than the image
    geometry((3, 4), (2, 2), (1, 1), ((3, 2), (2, 4))),  # more padding than kernel
    geometry((6, 6), (1, 1), (2, 2), ((0, 0), (0, 0))),
    geometry((6, 5), (2, 1), (3, 1), ((1, 1), (0, 0))),  # pixels between the taps
    geometry((9, 8), (3, 3), (1, 1), ((2, 2), (2, 2)), dilation=2),
    geometry((9, 8), (3, 2), (2, 2), ((2, 1), (1, 1)), dilation=3),
    geometry((8, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), groups=2),
    geometry((8, 6), (4, 4), (2, 2), ((1, 1), (1, 1)), groups=2),
    geometry((8, 6), (3, 3), (2, 2), ((1, 1), (1, 1)), groups=4),
    geometry((9,), (4,), (3,), ((2, 0),)),
    geometry((12,), (3,), (1,), ((4, 0),), dilation=2, groups=2),
    geometry((4, 5, 4), (3, 2, 3), (2, 1, 1), ((1, 1), (0, 1), (1, 1))),
    geometry((4, 4, 4), (4, 4, 4), (2, 2, 2), ((1, 1), (1, 1), (1, 1))),
]

CHANNELS = [(8, 4), (1, 5), (40, 36), (36, 3)]
"""(in, out): with these and (4, 8) every form of `cpu_lowering` is taken."""

FOR_WINOGRAD = [
    geometry((7, 6), (3, 3), (1, 1), ((1, 1), (1, 0))),
    geometry((6, 5), (2, 3), (1, 1), ((1, 0), (0, 2))),
    geometry((8, 6), (4, 4), (2, 2), ((1, 1), (1, 1))),
    geometry((4, 4), (4, 4), (2, 2), ((1, 1), (1, 1))),  # blocks across the border: phase by phase
    geometry((8, 7), (5, 5), (2, 2), ((1, 2), (2, 2))),
    geometry((9,), (3,), (1,), ((1, 1),)),
    geometry((4, 5, 4), (3, 2, 3), (1, 1, 1), ((1, 1), (0, 1), (1, 1))),
]

CASES = [(g, (4, 8)) for g in GEOMETRIES]
CASES += [(g, CHANNELS[i % 4]) for i, g in enumerate(GEOMETRIES) if g.groups == 1]
CASES += [(GEOMETRIES[i], channels) for i in (3, 4) for channels in CHANNELS]
CASES += [(GEOMETRIES[15], (4, 4))]  # every channel for itself
CASES += [(g, (90, 96)) for g in FOR_WINOGRAD]


@pytest.fixture(autouse=True)
def small_operands_take_the_forms_of_large_ones(monkeypatch):
    monkeypatch.setattr(cpu_lowering, "SAVED", 20)


def entries(g: Geometry):
    """(output position p, tap a, input position q), q = stride p + dilation a - before inside the image."""
    for p in itertools.product(*map(range, g.output_size)):
        for a in itertools.product(*map(range, g.kernel)):
            axes = zip(g.strides, p, g.dilation, a, g.padding, strict=True)
            q = tuple(s * i + d * j - pad[0] for s, i, d, j, pad in axes)
            if all(0 <= i < n for i, n in zip(q, g.size, strict=True)):
                yield p, a, q


def operands(g: Geometry, inputs: int = 4, outputs: int = 8):
    rng = np.random.default_rng(0)
    shapes = (2, *g.size, inputs), (2, *g.output_size, outputs), (*g.kernel, inputs // g.groups, outputs)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def blocks(g: Geometry, inputs: int, outputs: int):
    """The channels of each group: slices of the inputs and of the outputs."""
    i, o = inputs // g.groups, outputs // g.groups
    for n in range(g.groups):
        yield slice(i * n, i * (n + 1)), slice(o * n, o * (n + 1))


@pytest.mark.parametrize(("g", "channels"), CASES, ids=str)
def test_the_three_functions_are_their_definitions(g, channels):
    x, y, k = operands(g, *channels)
    out, back, slope = np.zeros_like(y), np.zeros_like(x), np.zeros_like(k)
    for p, a, q in entries(g):
        for i, o in blocks(g, *channels):
            at_p, at_q = (slice(None), *p, o), (slice(None), *q, i)
            out[at_p] += x[at_q] @ k[a][:, o]
            back[at_q] += y[at_p] @ k[a][:, o].T
            slope[a][:, o] += x[at_q].T @ y[at_p]

    @jax.jit
    def all_three(x, y, k):
        return conv(g, x, k), conv_transpose(g, y, k), kernel_gradient(g, x, y)

    wanted = (out, back, slope)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), all_three(x, y, k), wanted)
    if g not in GEOMETRIES[::3]:
        return
    # In half precision the sums are still of full precision; what is rounded is operands and result.
    for found, exact in zip(all_three(*(jnp.asarray(a, jnp.bfloat16) for a in (x, y, k))), wanted, strict=True):
        assert found.dtype == jnp.bfloat16
        np.testing.assert_allclose(found.astype(jnp.float32), exact, atol=0.02 * np.abs(exact).max() + 1e-6)


@pytest.mark.parametrize(
    ("g", "channels"),
    [
        *((g, (4, 8)) for g in GEOMETRIES if g.size != (3, 4)),
        *((g, (90, 96)) for g in (FOR_WINOGRAD[0], *FOR_WINOGRAD[2:4])),
    ],
    ids=str,
)
def test_derivatives_of_first_and_second_order_are_those_of_lax(g, channels):
    # The geometry that is left out has lax's own gradient wrong on jaxlib 0.10.2: its padding is negative.
    x, y, k = map(jnp.asarray, operands(g, *channels))
    k /= np.sqrt(k.size / channels[1])
    numbers = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}[len(g.size)]

    def plain(x, k):
        return lax.conv_general_dilated(
            x,
            k,
            g.strides,
            g.padding,
            rhs_dilation=g.dilation,
            dimension_numbers=numbers,
            feature_group_count=g.groups,
        )

    def plain_transpose(y, k):
        return jax.vjp(lambda x: plain(x, k), jnp.zeros_like(x))[1](y)[0]

    for ours, theirs, argument in (
        (lambda x, k: conv(g, x, k), plain, x),
        (lambda y, k: conv_transpose(g, y, k), plain_transpose, y),
    ):

        def slopes(f, argument, k):
            return jax.grad(lambda *xk: jnp.sin(f(*xk)).sum(), argnums=(0, 1))(argument, k)

        def penalty(f, argument, k):
            return sum(jnp.sin(slope).sum() for slope in slopes(f, argument, k))

        for derivative in (slopes, jax.grad(penalty, argnums=(1, 2))):
            found, wanted = (jax.jit(derivative, static_argnums=0)(f, argument, k) for f in (ours, theirs))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), found, wanted)


def test_the_kernel_gradient_inside_scan_and_over_eight_devices():
    g = geometry((8, 8), (4, 4), (2, 2), ((1, 1), (1, 1)))
    x = jax.random.normal(jax.random.key(0), (16, 8, 8, 2))
    k = jax.random.normal(jax.random.key(1), (4, 4, 2, 3))
    slope = jax.grad(lambda k, x: jnp.sin(conv(g, x, k)).sum())
    wanted = slope(k, x)

    scanned = jax.jit(lambda k, x: lax.scan(lambda k, _: (k, slope(k, x)), k, length=2)[1])(k, x)
    np.testing.assert_allclose(scanned[1], wanted, rtol=1e-4, atol=1e-4)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(x, NamedSharding(mesh, P("data")))
    found = jax.jit(slope, out_shardings=NamedSharding(mesh, P()))(k, sharded)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("g", "channels"), CASES[::6] + CASES[-1:], ids=str)
def test_eight_devices_talk_of_the_kernels_gradient_alone(g, channels):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    x, y, k = (jnp.asarray(np.concatenate([a] * 8)) for a in operands(g, *channels))
    k = k[: len(k) // 8]

    def slopes(x, y, k):
        through = jax.grad(lambda x, k: jnp.sin(conv(g, x, k)).sum(), argnums=(0, 1))(x, k)
        back = jax.grad(lambda y, k: jnp.sin(conv_transpose(g, y, k)).sum(), argnums=(0, 1))(y, k)
        return through[0], back[0], through[1] + back[1]

    compiled = (
        jax.jit(slopes, in_shardings=(rows, rows, everywhere), out_shardings=(rows, rows, everywhere))
        .lower(x, y, k)
        .compile()
    )
    program = compiled.as_text()
    assert "all-reduce" in program
    for talk in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert talk not in program
    wanted = jax.jit(slopes)(x, y, k)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-2), compiled(x, y, k), wanted)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (28, 3, 2, (0, 1)),
        (28, 4, 2, (1, 1)),
        (32, 5, 2, (1, 2)),
        (7, 4, 1, (1, 2)),
        (7, 5, 2, (2, 2)),
        (8, 2, 2, (0, 0)),
    ],
)
def test_same_padding_is_tensorflows(size, kernel, stride, pads):
    assert explicit_padding("SAME", (size,), (kernel,), (stride,)) == (pads,)
    assert explicit_padding("SAME", (size,), (kernel,), (stride,)) == tuple(
        lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
    )


def test_other_paddings():
    assert explicit_padding("VALID", (5, 5), (3, 3), (1, 1)) == ((0, 0), (0, 0))
    assert explicit_padding(1, (5, 5), (3, 3), (1, 1)) == ((1, 1), (1, 1))
    assert explicit_padding(((2, 1), (2, 1)), (5, 5), (4, 4), (1, 1)) == ((2, 1), (2, 1))


@pytest.mark.parametrize(
    ("kernel", "padding", "reached"),
    [(3, "SAME", (4, 5, 6)), (4, "SAME", (3, 4, 5, 6)), (4, 1, (3, 4, 5, 6)), (5, "SAME", (3, 4, 5, 6, 7))],
)
def test_transposed_convolution_doubles_and_is_aligned_as_in_keras_and_torch(kernel, padding, reached):
    layer = ConvTranspose(1, (kernel,), 2, padding)
    taps = jnp.arange(1.0, kernel + 1)
    variables = {"params": {"kernel": taps.reshape(kernel, 1, 1), "bias": jnp.zeros(1)}}
    pixel = jnp.zeros((1, 5, 1)).at[0, 2, 0].set(1.0)
    out = layer.apply(variables, pixel)
    assert out.shape == (1, 10, 1)
    np.testing.assert_array_equal(np.flatnonzero(out), reached)
    np.testing.assert_array_equal(out[0, list(reached), 0], taps)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "wanted"),
    [(1, 4, 1, "VALID", 4), (1, 5, 2, "VALID", 5), (13, 6, 2, "VALID", 30), (7, 3, 1, "SAME", 7), (7, 5, 2, "SAME", 14),
     (7, 4, 2, 1, 14), (7, 2, 2, "VALID", 14), (7, 2, 3, "SAME", 21)],
)  # fmt: skip
def test_sizes_of_the_transposed_convolution(size, kernel, stride, padding, wanted):
    layer = ConvTranspose(6, (kernel, kernel), stride, padding)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((2, size, size, 3)))
    assert out.shape == (2, wanted, wanted, 6)
    assert variables["params"]["kernel"].shape == (kernel, kernel, 6, 3)


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_transposed_convolution_is_laxs(kernel):
    y = jax.random.normal(jax.random.key(0), (2, 5, 4, 3))
    layer = ConvTranspose(6, (kernel, kernel), 2, use_bias=False)
    variables = layer.init(jax.random.key(1), y)
    wanted = lax.conv_transpose(y, variables["params"]["kernel"], (2, 2), "SAME", transpose_kernel=True)
    np.testing.assert_allclose(layer.apply(variables, y), wanted, atol=1e-5)


def test_symmetric_padding_differs_from_same_for_kernel_3_stride_2():
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
    same, torch = Conv(1, (3, 3), 2), Conv(1, (3, 3), 2, 1)
    variables = same.init(jax.random.key(1), x)
    assert same.apply(variables, x).shape == torch.apply(variables, x).shape == (1, 4, 4, 1)
    assert not np.allclose(same.apply(variables, x), torch.apply(variables, x))


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_bias_and_dtypes(layer):
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    variables = layer(3, (3, 3), dtype=jnp.bfloat16).init(jax.random.key(1), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    shifted = {"params": variables["params"] | {"bias": jnp.arange(3.0)}}
    out, base = (layer(3, (3, 3), dtype=jnp.bfloat16).apply(v, x) for v in (shifted, variables))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose((out - base).astype(jnp.float32)[0, 0, 0], jnp.arange(3.0), atol=0.05)
    assert "bias" not in layer(3, (3, 3), use_bias=False).init(jax.random.key(1), x)["params"]
