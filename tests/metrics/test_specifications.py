import numpy as np
import pytest

from gdl_jax.metrics.specifications import repeated, satisfied


def test_shares():
    samples = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    found = satisfied(samples, {"small": lambda x: x.max(axis=1) < 5, "odd": lambda x: x[:, 0] % 2 == 1})
    assert found == {"small": 0.5, "odd": 1.0}


def test_one_answer_per_sample_is_needed():
    with pytest.raises(ValueError, match="'any' gave answers of shape"):
        satisfied(np.ones((3, 2)), {"any": lambda x: x > 0})


def test_repeated():
    assert repeated(np.array([[1, 2], [1, 2], [2, 1], [1, 2]])) == 0.5
    assert repeated(np.arange(6).reshape(3, 2)) == 0
