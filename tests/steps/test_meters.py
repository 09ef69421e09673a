from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.meters import Fault, Mean, Metrics


def same(a, b) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def mean_of(values, weights) -> Mean:
    return Mean.of(jnp.float32(values), weights)


def fault(count, step=0, loss=False, leaf=-1) -> Fault:
    return Fault(jnp.int32(count), jnp.int32(step), jnp.bool_(loss), jnp.int32(leaf))


def test_mean_is_weighted():
    found = mean_of(2.0, 1.0).merge(mean_of(5.0, 3.0)).merge(mean_of(-1.0, 0.5))
    assert found.value() == pytest.approx(np.average([2, 5, -1], weights=[1, 3, 0.5]), rel=1e-6)
    assert float(found.count) == 4.5


def test_mean_of_nothing_is_nan():
    assert np.isnan(mean_of(1.0, 0.0).value())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_of_zero_makes_any_value_none(value):
    for weight in (0.0, jnp.bool_(False)):
        found = mean_of(3.0, 1.0).merge(mean_of(value, weight))
        assert (found.value(), float(found.count)) == (3.0, 1.0)


def test_means_are_float32_whatever_is_seen():
    for value in (jnp.bfloat16(1.5), jnp.int32(3), jnp.float16(2)):
        assert {leaf.dtype for leaf in jax.tree.leaves(Mean.of(value))} == {jnp.dtype(jnp.float32)}


def test_means_merge_in_any_grouping():
    a, b, c = (mean_of(value, weight) for value, weight in ((1.0, 1.0), (8.0, 2.0), (-4.0, 0.0)))
    assert same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert same(a.merge(b), b.merge(a))


def test_the_first_fault_is_the_one_described():
    none = fault(0, step=9, leaf=-1)
    first, second = fault(1, step=3, loss=True, leaf=2), fault(2, step=5, leaf=7)
    merged = none.merge(first).merge(second).merge(none)
    assert same(merged, fault(3, step=3, loss=True, leaf=2))
    assert int(none.merge(none).count) == 0


def test_faults_merge_in_any_grouping():
    options = [fault(0, 1), fault(1, 2, True, 4), fault(2, 3, False, 5)]
    for a, b, c in product(options, repeat=3):
        left, right = a.merge(b).merge(c), a.merge(b.merge(c))
        assert int(left.count) == int(right.count) == sum(int(x.count) for x in (a, b, c))
        if left.count:  # of no fault there is nothing to describe
            assert same(left, right)


def test_a_meter_of_zeros_is_the_neutral_element():
    metrics = Metrics({"a/loss": mean_of(2.0, 1.0)}, {"a": fault(1, 4, True, 0)})
    nothing = jax.tree.map(jnp.zeros_like, metrics)
    assert same(nothing.merge(metrics), metrics)
    assert same(metrics.merge(nothing), metrics)


def test_metrics_merge_by_name_and_inside_jit():
    one = Metrics({"a/loss": mean_of(2.0, 1.0), "b/loss": mean_of(1.0, 1.0)}, {"a": fault(0), "b": fault(1, 6)})
    two = Metrics({"a/loss": mean_of(4.0, 1.0), "b/loss": mean_of(9.0, 0.0)}, {"a": fault(1, 8), "b": fault(1, 7)})
    merged = jax.jit(lambda x, y: x.merge(y))(one, two)
    assert {name: mean.value() for name, mean in merged.means.items()} == {"a/loss": 3.0, "b/loss": 1.0}
    assert {name: (int(f.count), int(f.step)) for name, f in merged.faults.items()} == {"a": (1, 8), "b": (2, 6)}
