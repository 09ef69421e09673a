from __future__ import annotations

import math

import numpy as np
import pytest

from gdl_jax.metrics.birthday import drawn_from, sizes_for, support_size, threshold_of


def test_finds_the_number_of_different_samples():
    places = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)

    def draw(seed, num):
        return places[np.random.default_rng(seed).integers(0, 400, num)]

    found = support_size(draw, 1e-3, sizes=(10, 20, 30, 40), batches=60)
    wanted = [1 - np.prod(1 - np.arange(n) / 400) for n in found.sizes]
    np.testing.assert_allclose(found.collisions, wanted, atol=0.2)
    assert 250 < found.estimate < 600
    assert found.estimate == pytest.approx(found.half**2 / (2 * math.log(2)))


def test_a_bound_where_there_is_nothing_to_interpolate():
    found = support_size(lambda seed, num: np.random.default_rng(seed).normal(size=(num, 3)), 1e-6, sizes=(5, 10))
    assert found.collisions == (0, 0)
    assert (found.bound, found.estimate) == ("at least", pytest.approx(100 / (2 * math.log(2))))
    # A generator of three samples repeats itself in every batch of ten.
    three = np.eye(3)
    found = support_size(lambda seed, num: three[np.random.default_rng(seed).integers(0, 3, num)], 0.0, sizes=(10, 20))
    assert found.collisions == (1, 1)
    assert (found.bound, found.estimate) == ("at most", pytest.approx(100 / (2 * math.log(2))))


def test_new_examples_of_the_distribution_of_the_data_do_not_seem_to_repeat():
    """By a quantile of all distances every good generator seemed to have the same few samples."""
    rng = np.random.default_rng(0)
    data, same, few = rng.normal(size=(3, 1600, 16))
    draw = drawn_from(data)
    sizes = sizes_for(len(data), len(same))
    assert sizes == (20, 50, 100, 200, 400, 800)
    threshold = threshold_of(draw, sizes[-1])
    of_data, of_same, of_few = (
        support_size(d, threshold, sizes=sizes)
        for d in (draw, drawn_from(same), drawn_from(np.tile(few[:400], (4, 1))))
    )
    assert max(of_data.collisions) <= 0.2
    assert of_same.bound == "at least"
    assert of_few.bound == ""
    assert 250 < of_few.estimate < 1500


def test_threshold_is_a_quantile_of_the_least_distances():
    batches = {1_000_000 + i: np.array([[0.0], [1.0 + i], [100.0]]) for i in range(20)}
    found = threshold_of(lambda seed, num: batches[seed], 3, share=0.25, batches=20)
    assert found == pytest.approx(5)
