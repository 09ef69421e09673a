from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.metrics.curves import curve_of_histograms, precision_recall_curve


def test_histograms_in_closed_form():
    same = curve_of_histograms(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    assert same.f_score(8) == pytest.approx(1, abs=2e-3)
    # Samples are half of the modes: precision reaches 1, recall a half.
    half = curve_of_histograms(np.array([0.25] * 4), np.array([0.5, 0.5, 0, 0]))
    assert half.precision.max() == pytest.approx(1)
    assert half.recall.max() == pytest.approx(0.5)
    # Of precision 1 and recall 1/2: (1 + 1/64) / 2 / (1/64 + 1/2); of weight 8 instead (1 + 64) / 2 / (64 + 1/2).
    assert half.f_score(1 / 8) == pytest.approx(0.9848, abs=2e-3)
    assert half.f_score(8) == pytest.approx(0.5039, abs=2e-3)
    swapped = curve_of_histograms(np.array([0.5, 0.5, 0, 0]), np.array([0.25] * 4))
    np.testing.assert_allclose(swapped.precision, half.recall[::-1], atol=1e-9)
    apart = curve_of_histograms(np.array([1.0, 0]), np.array([0, 1.0]))
    assert apart.f_score(8) == 0


def test_clusters_of_features():
    rng = np.random.default_rng(0)
    modes = np.repeat(np.eye(4) * 20, 100, axis=0)
    real = (modes + rng.normal(size=modes.shape)).astype(np.float32)
    fake = np.concatenate([real[:200], real[:200]]) + rng.normal(0, 0.1, real.shape).astype(np.float32)
    found = precision_recall_curve(real, fake, clusters=4, clusterings=2)
    assert found.precision.max() == pytest.approx(1)
    assert found.recall.max() == pytest.approx(0.5, abs=0.01)
    assert found.f_score(1 / 8) > found.f_score(8)
    with pytest.raises(ValueError, match="20 clusters need as many examples; there are 8"):
        precision_recall_curve(real[:4], fake[:4])
