import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from gdl_jax.metrics.divergences import earth_movers_distance, jensen_shannon, kl_normal, transport_plan


def test_kl_of_normals():
    # KL(N(1, 0.5^2) || N(0, 1)), worked out by the closed form.
    assert kl_normal(1.0, 0.5, 0.0, 1.0) == pytest.approx(0.8181471805599453)
    assert kl_normal(0.3, 2.0, 0.3, 2.0) == 0
    x = np.linspace(-20, 20, 20_001)
    p, q = (np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi)) for m, s in ((1, 1.5), (-0.5, 2)))
    assert kl_normal(1, 1.5, -0.5, 2) == pytest.approx(np.trapezoid(p * np.log(p / q), x), rel=1e-6)


@pytest.fixture
def heaps():
    random = np.random.default_rng(0)
    p, q = random.random((2, 7))
    return p / p.sum(), q / q.sum()


def test_distance_against_scipy(heaps):
    places = np.arange(7) * 0.5
    wanted = wasserstein_distance(places, places, *heaps)
    assert earth_movers_distance(*heaps, width=0.5) == pytest.approx(wanted)


def test_plan_moves_all_and_no_plan_is_cheaper(heaps):
    p, q = heaps
    plan = transport_plan(p, q)
    assert (plan >= 0).all()
    np.testing.assert_allclose(plan.sum(axis=1), p)
    np.testing.assert_allclose(plan.sum(axis=0), q)
    way = np.abs(np.arange(7)[:, None] - np.arange(7))
    rows, columns = np.kron(np.eye(7), np.ones(7)), np.kron(np.ones(7), np.eye(7))
    best = linprog(way.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=np.concatenate([p, q]))
    assert (plan * way).sum() == pytest.approx(best.fun)
    assert (plan * way).sum() == pytest.approx(earth_movers_distance(p, q))


@pytest.mark.parametrize("of", [earth_movers_distance, transport_plan])
def test_other_masses_are_refused(of):
    with pytest.raises(ValueError, match="same mass"):
        of(np.ones(3), np.ones(4)[:3] * 2)


def test_jensen_shannon(heaps):
    p, q = heaps
    # SciPy's is the square root.
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)
    assert jensen_shannon(1000 * p, q) == pytest.approx(jensen_shannon(q, p))
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(np.array([3, 0]), np.array([0, 1])) == pytest.approx(np.log(2))


@pytest.mark.parametrize("other", [[0, 0], [-1, 2], [1, 1, 1]])
def test_no_histogram(other):
    with pytest.raises(ValueError, match=r"bin|Shapes"):
        jensen_shannon(np.array([1, 2]), np.array(other))
