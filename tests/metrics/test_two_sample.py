import numpy as np
import pytest
from scipy import special, stats

from gdl_jax.metrics.two_sample import critical_value, distribution_function, kolmogorov, kolmogorov_smirnov


@pytest.mark.parametrize("sizes", [(50, 70), (1, 9)])
@pytest.mark.parametrize("levels", [None, 4])
def test_statistic_against_scipy(sizes, levels):
    random = np.random.default_rng(0)
    x, y = random.normal(size=sizes[0]), random.normal(0.4, 1, size=sizes[1])
    if levels:  # with values that occur again and again
        x, y = np.round(levels * x), np.round(levels * y)
    assert kolmogorov_smirnov(x, y).statistic == pytest.approx(stats.ks_2samp(x, y).statistic)


def test_p_value_against_scipy():
    for t in (0.0, 0.1, 0.5, 0.999, 1.0, 1.358, 3.0):
        assert kolmogorov(t) == pytest.approx(special.kolmogorov(t), abs=1e-12)
    random = np.random.default_rng(1)
    x, y = random.normal(size=3000), random.normal(0.03, 1, size=2000)
    assert kolmogorov_smirnov(x, y).p_value == pytest.approx(stats.ks_2samp(x, y, method="asymp").pvalue, rel=0.03)


def test_threshold():
    assert critical_value(0.05) == pytest.approx(1.3581, abs=1e-4)
    x = np.arange(7_840_000, dtype=np.float32)
    found = kolmogorov_smirnov(x, x)
    assert found.statistic == 0
    assert found.p_value == 1
    assert found.threshold == pytest.approx(6.86e-4, rel=1e-3)


def test_distribution_function():
    shares = distribution_function(np.array([[0.5, 0.0], [0.5, 1.0]]), np.array([-1, 0, 0.4, 0.5, 2]))
    assert shares.tolist() == [0, 0.25, 0.25, 0.75, 1]


@pytest.mark.parametrize("wrong", [[], [np.nan, 1.0]])
def test_no_sample(wrong):
    with pytest.raises(ValueError, match="NaN"):
        kolmogorov_smirnov(np.ones(2), np.array(wrong))
