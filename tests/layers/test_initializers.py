from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers import initializers


def draw(name: str, shape: tuple[int, ...]):
    return np.asarray(getattr(initializers, name)(jax.random.key(0), shape, jnp.float32))


@pytest.mark.parametrize(("name", "mean"), [("normal002", 0.0), ("scale002", 1.0)])
def test_normal(name, mean):
    values = draw(name, (200, 500))
    assert values.mean() == pytest.approx(mean, abs=3e-4)
    assert values.std() == pytest.approx(0.02, rel=0.02)
    assert abs(values - mean).max() > 3 * 0.02  # not truncated at two deviations


@pytest.mark.parametrize(
    ("name", "shape", "bound"),
    [
        ("glorot_uniform", (3, 3, 32, 64), np.sqrt(6 / (9 * 32 + 9 * 64))),
        ("torch_uniform", (4, 4, 32, 64), 1 / np.sqrt(16 * 32)),
        ("torch_uniform_fan_out", (100, 8192), 1 / np.sqrt(8192)),  # LA11: 0.0110, not 0.1
    ],
)
def test_uniform(name, shape, bound):
    values = draw(name, shape)
    assert abs(values).max() <= bound * (1 + 1e-6)
    assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
