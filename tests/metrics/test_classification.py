from __future__ import annotations

import math

import numpy as np
import pytest

from gdl_jax.metrics.classification import accuracy, confusion_matrix


def test_confusion_matrix_against_a_loop():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, (2, 300)).astype(np.int32)
    wanted = np.zeros((7, 7), int)
    for a, b in zip(labels, predictions, strict=True):
        wanted[a, b] += 1
    found = confusion_matrix(labels, predictions, 7)
    np.testing.assert_array_equal(found, wanted)
    assert accuracy(found) == pytest.approx((labels == predictions).mean())


def test_rows_are_true_classes():
    np.testing.assert_array_equal(confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2), [[0, 2], [0, 1]])
    assert accuracy(np.array([[0, 2], [0, 1]])) == pytest.approx(1 / 3)


def test_none():
    none = confusion_matrix(np.array([], int), np.array([], int), 3)
    assert none.sum() == 0
    assert math.isnan(accuracy(none))


def test_errors():
    with pytest.raises(ValueError, match=r"\(2,\) labels and \(3,\) predictions"):
        confusion_matrix(np.array([0, 1]), np.array([0, 1, 1]), 2)
    with pytest.raises(ValueError, match="from 0 to 2, but there are 2"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
    with pytest.raises(ValueError, match="from -1 to 1"):
        confusion_matrix(np.array([-1, 1]), np.array([0, 1]), 2)
