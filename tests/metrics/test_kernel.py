from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from gdl_jax.metrics.kernel import kernel, kernel_distance


def test_kernel_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    np.testing.assert_allclose(kernel(x, y), polynomial_kernel(x, y, degree=3, gamma=1 / 5, coef0=1))


def test_against_sums_over_pairs(monkeypatch):
    monkeypatch.setattr("gdl_jax.metrics.kernel.ROWS", 4)
    monkeypatch.setattr("gdl_jax.metrics.kernel.COLUMNS", 3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(0.5, 1, size=(9, 3))

    def discrepancy(x, y):
        within = [np.mean([k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
        return sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    found = kernel_distance(x, y)
    np.testing.assert_allclose(found.value, discrepancy(x, y), rtol=1e-5)
    # The jackknife, with each example left out in turn: what it overestimates is less than half of it.
    left_out = (
        [discrepancy(np.delete(x, i, 0), y) for i in range(6)],
        [discrepancy(x, np.delete(y, i, 0)) for i in range(9)],
    )
    variance = sum((len(v) - 1) * np.var(v) for v in left_out)
    assert variance / 2 * 0.99 < found.standard_error**2 < variance


@pytest.mark.parametrize(("n", "m"), [(150, 150), (60, 300)])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_unbiased_and_its_standard_error(n, m, shift):
    """Against the spread over data and samples that are drawn anew."""
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sets = (rng.normal(size=(num, 16)).astype(np.float32) for num in (n, m))
        found.append(kernel_distance(next(sets), next(sets) + np.float32(shift)))
    values, errors = np.array(found).T
    # E k(x, y) for N(a, 1) and N(b, 1) in d dimensions, t = x y / d: E t = a b / d, and the moments about it.
    d, square = 16, shift**2

    def expected(product, of_x, of_y):
        mean, variance = product / d, (d + of_x + of_y) / d**2
        third = 6 * product / d**3
        return (mean + 1) ** 3 + 3 * (mean + 1) * variance + third

    wanted = expected(0, 0, 0) + expected(square * d, square * d, square * d) - 2 * expected(0, 0, square * d)
    assert values.mean() == pytest.approx(wanted, abs=3.5 * values.std() / 10)
    # Where nothing differs, what is taken off is bounded, and the error is on the large side.
    assert 0.85 < np.sqrt(np.square(errors).mean()) / values.std() < 1.35


def test_too_few():
    with pytest.raises(ValueError, match="two examples or more of each set; there are 1"):
        kernel_distance(np.ones((1, 2)), np.ones((5, 2)))
