from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.transforms import scale, to_uint8

EVERY = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
RANGES = [(0.0, 1.0), (-1.0, 1.0)]


@pytest.mark.parametrize("image_range", RANGES)
@pytest.mark.parametrize("jit", [False, True])
def test_every_value_there_and_back(image_range, jit):
    low, high = image_range
    scaled = (jax.jit(scale, static_argnums=1) if jit else scale)(jnp.asarray(EVERY), image_range)
    assert scaled.dtype == jnp.float32
    np.testing.assert_allclose(scaled, low + EVERY.astype(np.float64) * (high - low) / 255, atol=2e-7)
    assert float(scaled.min()) == low
    assert float(scaled.max()) == pytest.approx(high, abs=2e-7)
    back = to_uint8(np.asarray(scaled), image_range)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, EVERY)


@pytest.mark.parametrize("image_range", RANGES)
def test_rounded_to_the_nearest_and_clipped(image_range):
    low, high = image_range
    step = (high - low) / 255
    values = np.array([low - 5, low - step / 2.1, low + 0.49 * step, low + 0.51 * step, high - 0.49 * step, high + 5])
    np.testing.assert_array_equal(to_uint8(values, image_range), [0, 0, 0, 1, 255, 255])


def test_device_arrays_and_bfloat16_are_taken():
    np.testing.assert_array_equal(
        to_uint8(np.asarray(jnp.array([0.0, 0.5, 1.0], jnp.bfloat16)), (0.0, 1.0)), [0, 128, 255]
    )


def test_what_is_no_number_is_said_and_becomes_0(caplog):
    np.testing.assert_array_equal(to_uint8(np.array([np.nan, -1.0, np.inf]), (-2.0, 0.0)), [0, 128, 255])
    assert caplog.messages == ["1 of 3 values of images are no numbers (NaN); they become 0."]
