from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from gdl_jax.metrics import neighbours
from gdl_jax.metrics.neighbours import balls_around, nearest, precision_recall


@pytest.fixture
def sets(monkeypatch):
    # Blocks that the sets do not fill, and several of them.
    monkeypatch.setattr(neighbours, "ROWS", 64)
    monkeypatch.setattr(neighbours, "COLUMNS", 96)
    rng = np.random.default_rng(0)
    return rng.normal(5, 1, (300, 16)).astype(np.float32), rng.normal(5.2, 0.8, (250, 16)).astype(np.float32)


def test_against_scikit_learn(sets):
    real, fake = sets
    wanted, at = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(real.astype(np.float64)).kneighbors(fake)
    found = nearest(fake, real, 4)
    np.testing.assert_array_equal(found.indices, at)
    np.testing.assert_allclose(found.distances, wanted, rtol=1e-6)
    wanted, at = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(real.astype(np.float64)).kneighbors()
    found = nearest(real, real, 3, same=True)
    np.testing.assert_array_equal(found.indices, at)
    np.testing.assert_allclose(found.distances, wanted, rtol=1e-6)
    search = NearestNeighbors(n_neighbors=2, algorithm="brute", metric="manhattan").fit(real.astype(np.float64))
    wanted, at = search.kneighbors(fake[:5])
    found = nearest(fake[:5], real, 2, metric="manhattan")
    np.testing.assert_array_equal(found.indices, at)
    np.testing.assert_allclose(found.distances, wanted, rtol=1e-6)


def test_copies_are_found_at_distance_zero_far_from_the_origin(sets):
    real = sets[0] + 1000
    found = nearest(real[40:50].copy(), real, 1)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(40, 50))
    np.testing.assert_array_equal(found.distances, 0)


def test_balls_and_the_four_measures_against_all_pairs(sets):
    real, fake = sets
    pairs = [np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=2) for a, b in ((real, real), (fake, fake))]
    across = np.linalg.norm(fake[:, None].astype(np.float64) - real[None], axis=2)
    reach, of_fake = (np.sort(p, 1) for p in pairs)  # the first is an example's distance to itself
    np.testing.assert_array_equal(balls_around(fake, real, reach[:, 3]), (across <= reach[:, 3]).sum(1))
    found = precision_recall(real, fake)
    assert found.precision == (across <= reach[:, 3]).any(1).mean()
    assert found.recall == (of_fake[:, 3] >= across.T).any(1).mean()
    np.testing.assert_allclose(found.density, (across <= reach[:, 5]).sum(1).mean() / 5)
    assert found.coverage == (across.min(0) <= reach[:, 5]).mean()
    assert 0 < found.recall < 1


def test_order_does_not_matter(sets):
    real, fake = sets
    rng = np.random.default_rng(1)
    assert precision_recall(real, fake) == precision_recall(rng.permutation(real), rng.permutation(fake))


def test_same_and_apart(sets):
    real, fake = sets
    same = precision_recall(real, real.copy())
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert precision_recall(real, fake + 100) == (0, 0, 0, 0)


def test_too_few(sets):
    with pytest.raises(ValueError, match="5 neighbours of every example need 6 references; there are 4"):
        precision_recall(sets[0][:4], sets[1])
    with pytest.raises(ValueError, match="no example"):
        nearest(sets[0][:0], sets[1], 1)
