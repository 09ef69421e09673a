from __future__ import annotations

import math

import numpy as np
import pytest

from gdl_jax.metrics.birthday import support_size, threshold_of


def test_finds_the_number_of_different_samples():
    places = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)

    def draw(seed, num):
        return places[np.random.default_rng(seed).integers(0, 400, num)]

    found = support_size(draw, 1e-3, sizes=(10, 20, 30, 40), batches=60)
    wanted = [1 - np.prod(1 - np.arange(n) / 400) for n in found.sizes]
    np.testing.assert_allclose(found.collisions, wanted, atol=0.2)
    assert 250 < found.estimate < 600
    assert found.estimate == pytest.approx(found.half**2 / (2 * math.log(2)))


def test_no_collisions_no_estimate():
    found = support_size(lambda seed, num: np.random.default_rng(seed).normal(size=(num, 3)), 1e-6, sizes=(5, 10))
    assert found.collisions == (0, 0)
    assert math.isnan(found.estimate)


def test_threshold_is_a_quantile_of_the_distances():
    line = np.arange(101.0)[:, None]
    # Distances 1 to 100; the distance d occurs 101 - d times.
    assert threshold_of(line, 0.01) == pytest.approx(1)
    assert threshold_of(line, 1.0) == pytest.approx(100)
