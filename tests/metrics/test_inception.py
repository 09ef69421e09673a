from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.metrics.inception import inception_score


def test_closed_forms():
    with np.errstate(divide="ignore"):
        sure = np.log(np.eye(5)[np.arange(100) % 5])
        one_class = np.log(np.eye(5)[np.zeros(100, int)])
    assert inception_score(sure, parts=4) == pytest.approx((5, 0))
    assert inception_score(one_class) == pytest.approx((1, 0))
    assert inception_score(np.full((20, 7), -np.log(7))) == pytest.approx((1, 0))
    # 0.9 for the own class and 0.1 for the other: exp(log 2 - entropy).
    p = np.where(np.eye(2)[np.arange(40) % 2] > 0, 0.9, 0.1)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert inception_score(np.log(p), parts=2).mean == pytest.approx(2 * np.exp(-entropy))


def test_marginal_is_that_of_each_part():
    with np.errstate(divide="ignore"):
        sorted_by_class = np.log(np.eye(2)[np.arange(100) // 50])
    assert inception_score(sorted_by_class, parts=2).mean == pytest.approx(1)
    assert inception_score(sorted_by_class, parts=1).mean == pytest.approx(2)


def test_unnormalised_logits_and_too_few_samples():
    logits = np.random.default_rng(0).normal(size=(30, 4))
    shifted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert inception_score(logits) == pytest.approx(inception_score(shifted))
    with pytest.raises(ValueError, match="10 parts need as many samples; there are 9"):
        inception_score(logits[:9])
