from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from gdl_jax.metrics.kernel import kernel, kernel_distance


def test_kernel_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    np.testing.assert_allclose(kernel(x, y), polynomial_kernel(x, y, degree=3, gamma=1 / 5, coef0=1))


def test_whole_sets_against_sums_over_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(0.5, 1, size=(6, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(6) for j in range(6) if i != j) / 30
    wanted = within - 2 * np.mean([k(a, b) for a in x for b in y])
    found = kernel_distance(x, y, subsets=3)
    np.testing.assert_allclose(found.value, wanted, rtol=1e-5)


def test_unbiased_and_its_standard_error():
    rng = np.random.default_rng(1)
    values = []
    for seed in range(40):
        x, y = (rng.normal(size=(2000, 4)).astype(np.float32) for _ in range(2))
        values.append(kernel_distance(x, y, subsets=20, subset_size=100, seed=seed))
    errors = [found.value / found.standard_error for found in values]
    assert abs(np.mean([found.value for found in values])) < 3 * np.std([f.value for f in values]) / np.sqrt(40)
    assert 0.7 < np.std(errors) < 1.5
    # Mean (c, c, c, c) instead of 0: what the kernel's three moments make of it, far beyond the error.
    assert kernel_distance(x, y + 1, subsets=20, subset_size=100).value > 0.5


def test_standard_error_of_whole_sets_by_their_halves():
    rng = np.random.default_rng(2)
    found = [kernel_distance(*(rng.normal(m, 1, (200, 4)) for m in (0, 0.5)), subsets=30) for _ in range(60)]
    values, errors = (np.array([getattr(f, name) for f in found]) for name in ("value", "standard_error"))
    assert np.median(errors) == pytest.approx(values.std(), rel=0.35)


def test_too_few():
    with pytest.raises(ValueError, match="two examples or more of each set; there are 1"):
        kernel_distance(np.ones((1, 2)), np.ones((5, 2)))
