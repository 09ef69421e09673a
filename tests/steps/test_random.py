from __future__ import annotations

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.random import stream_key

STREAMS = ("init", "step", "flip", "sample", "evaluate", "evaluate samples")


def data(key) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_no_two_of_seed_stream_and_step_share_a_key():
    keys = {data(stream_key(*which)) for which in product(range(3), STREAMS, (0, 1, 2, 10**6))}
    assert len(keys) == 3 * len(STREAMS) * 4


def test_a_key_is_a_function_of_its_arguments():
    assert data(stream_key(5, "step", 7)) == data(stream_key(5, "step", 7))
    assert data(stream_key(5, "init")) == data(stream_key(5, "init", 0))


def test_the_same_inside_jit_with_a_traced_step():
    traced = jax.jit(lambda step: stream_key(3, "step", step))
    for step in (0, 1, 2**31 - 1):
        assert data(traced(jnp.int32(step))) == data(stream_key(3, "step", step))


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_large_seeds(seed):
    assert data(stream_key(seed, "init")) != data(stream_key(seed + 1, "init"))


def test_streams_are_uncorrelated():
    draws = [jax.random.normal(stream_key(0, stream), (4096,)) for stream in STREAMS]
    correlation = np.corrcoef(np.stack(draws)) - np.eye(len(STREAMS))
    assert abs(correlation).max() < 5 / np.sqrt(4096)
