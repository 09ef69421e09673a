from __future__ import annotations

import jax
import jax.numpy as jnp

from gdl_jax.networks.summary import Row, count, format_table, parameter_table

VARIABLES = {
    "batch_stats": {"norm": {"mean": jnp.zeros(3)}},
    "params": {"conv": {"bias": jnp.zeros((), jnp.bfloat16), "kernel": jnp.zeros((40, 50, 3))}},
}
ROWS = [
    Row("batch_stats/norm/mean", (3,), "float32", 3),
    Row("params/conv/bias", (), "bfloat16", 1),
    Row("params/conv/kernel", (40, 50, 3), "float32", 6000),
]


def test_rows_of_arrays_and_of_shapes():
    assert parameter_table(VARIABLES) == ROWS
    assert parameter_table(jax.eval_shape(lambda: VARIABLES)) == ROWS


def test_count():
    assert count(VARIABLES) == 6004
    assert count(VARIABLES["params"]) == 6001
    assert count({}) == 0


def test_table():
    assert format_table(ROWS).split("\n") == [
        "batch_stats/norm/mean  3        float32       3",
        "params/conv/bias       scalar   bfloat16      1",
        "params/conv/kernel     40x50x3  float32   6,000",
        "batch_stats                                   3",
        "params                                    6,001",
        "total                                     6,004",
    ]
    assert format_table(parameter_table({"params": VARIABLES["params"]})).split("\n")[-1].split() == ["params", "6,001"]
    assert format_table([]) == ""
