from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from gdl_jax.metrics.frechet import Sums, frechet_distance, frechet_infinity, moments


def spd(size: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(size, size))
    return x @ x.T + 0.1 * np.eye(size)


def test_moments_are_numpys():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) + 1000
    mean, covariance = moments(x)
    assert mean.dtype == covariance.dtype == np.float64
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(0), rtol=1e-12)
    centred = x - x.astype(np.float64).mean(0)
    np.testing.assert_allclose(covariance, centred.T @ centred / 49, rtol=1e-9)


def test_moments_of_one_feature_are_a_vector_and_a_matrix():
    mean, covariance = moments(np.array([[1.0], [3.0]]))
    assert (mean.tolist(), covariance.tolist()) == ([2.0], [[2.0]])


@pytest.mark.parametrize("num", [0, 1])
def test_moments_need_two_examples(num):
    with pytest.raises(ValueError, match=f"two examples or more; there are {num}"):
        moments(np.zeros((num, 3)))


def test_no_distance_to_itself():
    for seed in range(3):
        a = np.random.default_rng(seed).normal(size=6), spd(6, seed)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_isotropic_gaussians():
    """|m - n|^2 + k (s - t)^2."""
    m, n = np.array([1.0, 2, 3]), np.array([0.0, 4, 3])
    found = frechet_distance((m, 4 * np.eye(3)), (n, 0.25 * np.eye(3)))
    assert found == pytest.approx(5 + 3 * (2 - 0.5) ** 2, rel=1e-12)


def test_diagonal_covariances():
    a, b = np.array([1.0, 4, 9, 0]), np.array([4.0, 4, 0.25, 2])
    zero = np.zeros(4)
    wanted = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_distance((zero, np.diag(a)), (zero, np.diag(b))) == pytest.approx(wanted, rel=1e-12)


def test_points():
    """Without covariance it is the squared distance."""
    zero = np.zeros((3, 3))
    assert frechet_distance((np.ones(3), zero), (np.zeros(3), zero)) == pytest.approx(3)


@pytest.mark.parametrize("rank", [1, 3])
def test_singular_covariances(rank):
    """C = V V^T: tr (C D)^(1/2) is the nuclear norm of V^T W for D = W W^T, whatever the ranks."""
    rng = np.random.default_rng(rank)
    v, w = rng.normal(size=(6, rank)), rng.normal(size=(6, 6))
    c, d, zero = v @ v.T, w @ w.T, np.zeros(6)
    wanted = np.trace(c) + np.trace(d) - 2 * np.linalg.svd(v.T @ w, compute_uv=False).sum()
    assert frechet_distance((zero, c), (zero, d)) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance((zero, d), (zero, c)) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance((zero, c), (zero, c)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [2, 5, 20])
def test_against_scipys_square_root_of_a_matrix(size):
    rng = np.random.default_rng(size)
    for seed in range(5):
        (m, c), (n, d) = a, b = [(rng.normal(size=size), spd(size, 10 * seed + i)) for i in range(2)]
        root = linalg.sqrtm(c @ d)
        wanted = np.square(m - n).sum() + np.trace(c + d - 2 * root.real)
        assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-7)
        assert frechet_distance(b, a) == pytest.approx(wanted, rel=1e-7)


def test_of_samples_it_falls_as_their_number_grows():
    """Two samples of one Gaussian: the bias of small samples falls like 1 / n."""
    rng = np.random.default_rng(0)
    found = [frechet_distance(*(moments(rng.normal(size=(n, 4))) for _ in range(2))) for n in (50, 5000)]
    assert found[1] < 0.1 * found[0]
    assert found[1] >= 0


def test_sums_of_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    features = rng.normal(1000, 1, size=(57, 6)).astype(np.float32)
    parts = [Sums.of(part) for part in np.split(features, [10, 11, 40])]
    for order in (parts, parts[::-1]):
        mean, covariance = sum(order[1:], order[0]).moments()
        np.testing.assert_allclose(mean, moments(features)[0], rtol=1e-14)
        np.testing.assert_allclose(covariance, moments(features)[1], rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="two examples or more; there are 1"):
        Sums.of(features[:1]).moments()


def test_extrapolation_removes_the_bias_of_few_samples():
    rng = np.random.default_rng(0)
    real = np.zeros(20), np.eye(20)
    fake = rng.normal(size=(2000, 20))
    plain, extrapolated = frechet_distance(moments(fake), real), frechet_infinity(fake, real)
    few = frechet_distance(moments(fake[:200]), real)
    assert few > 5 * plain
    assert abs(extrapolated) < plain / 2
