from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from gdl_jax.metrics.parzen import parzen_estimate, parzen_log_likelihood


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    samples, points = rng.normal(size=(50, 4)), rng.normal(size=(300, 4))
    wanted = KernelDensity(bandwidth=0.3).fit(samples).score_samples(points)
    np.testing.assert_allclose(parzen_log_likelihood(points, samples, 0.3), wanted, rtol=1e-9)


def test_bandwidth_is_chosen_on_other_points():
    rng = np.random.default_rng(1)
    samples, validation, test = (rng.normal(0, 0.5, (n, 2)) for n in (2000, 500, 500))
    found, width = parzen_estimate(test, validation, samples)
    exact = -np.log(2 * np.pi * 0.25) - 1  # minus the entropy of the Gaussian
    assert 0.1 <= width < 0.3
    assert found.value == pytest.approx(exact, abs=4 * found.standard_error + 0.05)
