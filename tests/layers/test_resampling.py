from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.resampling import UpConv, upsample_bilinear, upsample_nearest


def test_nearest_repeats_rows_and_columns():
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    wanted = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(upsample_nearest(x)[0, :, :, 0], wanted)


@pytest.mark.parametrize(("ours", "method"), [(upsample_nearest, "nearest"), (upsample_bilinear, "bilinear")])
def test_as_jax_image(ours, method):
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    np.testing.assert_allclose(ours(x), jax.image.resize(x, (2, 6, 10, 4), method), atol=1e-6)
    assert ours(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "bilinear"])
@pytest.mark.parametrize("strides", [1, 2])
def test_upconv_enlarges_with_equal_parameter_counts(upsampling, strides):
    layer = UpConv(6, 3, strides, upsampling)
    out, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((2, 5, 4, 3)))
    assert out.shape == (2, 5 * strides, 4 * strides, 6)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 3 * 3 * 3 * 6 + 6


@pytest.mark.parametrize(("kernel", "channels"), [(3, (5, 4)), (5, (3, 2)), (1, (4, 4)), (3, (48, 40))])
def test_upsampled_convolution_is_both_after_each_other(kernel, channels):
    x = jax.random.normal(jax.random.key(0), (2, 4, 3, channels[0]))
    layer = UpConv(channels[1], kernel, 2, "nearest")
    variables = layer.init(jax.random.key(1), x)

    def together(x, variables):
        return jnp.sin(layer.apply(variables, x)).sum()

    def after_each_other(x, variables):
        plain = {"params": variables["params"]["UpsampledConv_0"]}
        return jnp.sin(Conv(channels[1], (kernel, kernel)).apply(plain, upsample_nearest(x))).sum()

    found, wanted = (jax.value_and_grad(f, argnums=(0, 1))(x, variables) for f in (together, after_each_other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, wanted)


def test_upconv_names_a_growth_that_it_cannot_make():
    with pytest.raises(ValueError, match="nearest up-sampling is by 1 or 2, not by 4"):
        UpConv(6, 3, 4, "nearest").init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))


@pytest.mark.parametrize(("kernel", "rows"), [(3, (2, 1)), (4, (2, 2)), (5, (3, 2))])
def test_checkerboard_coverage_of_transposed_convolutions(kernel, rows):
    """Foster F24: how many inputs an interior pixel sees; uneven unless the stride divides the kernel."""
    layer = UpConv(1, kernel, 2, use_bias=False, kernel_init=jax.nn.initializers.ones)
    x = jnp.ones((1, 8, 8, 1))
    counts = np.asarray(layer.apply(layer.init(jax.random.key(0), x), x))[0, 6:8, 6:8, 0]
    np.testing.assert_array_equal(sorted(counts.flat), sorted(np.outer(rows, rows).flat))
