from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.metrics.modes import class_coverage, mixture_coverage, ring, square_grid


def test_class_coverage():
    log_p = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]]))
    found = class_coverage(log_p, np.full(3, 1 / 3))
    np.testing.assert_array_equal(found.shares, [0.75, 0.25, 0])
    assert found.covered == 2
    assert found.divergence == pytest.approx(0.75 * np.log(2.25) + 0.25 * np.log(0.75))
    assert found.confidence == pytest.approx(0.75)
    chosen = class_coverage(log_p, np.array([0.5, 0, 0.5]))
    assert (chosen.covered, chosen.outside) == (1, 0.25)
    assert chosen.divergence == pytest.approx(np.log(2))
    assert class_coverage(log_p, np.array([0, 0, 1.0])).divergence == np.inf
    with pytest.raises(ValueError, match="3 classes, and the shares are of 2"):
        class_coverage(log_p, np.full(2, 0.5))


def test_mixture_coverage():
    rng = np.random.default_rng(0)
    centres = ring()
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.full(8, 2))
    # The shares of a two-dimensional normal distribution within three standard deviations: 1 - exp(-9/2).
    samples = centres[rng.integers(0, 6, 20_000)] + rng.normal(0, 0.02, (20_000, 2))
    found = mixture_coverage(samples, centres, 0.02)
    assert found.captured == 6
    assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.003)
    assert found.counts.sum() == round(found.high_quality * 20_000)
    assert len(square_grid()) == 25
    assert square_grid().min() == -4
