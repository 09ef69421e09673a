from __future__ import annotations

import time

import jax
import pytest

from benchmarks.measure import Contestant, Spread, take_turns
from benchmarks.peaks import make_probes
from gdl_jax.steps.devices import make_mesh


def test_the_median_and_the_quartiles():
    spread = Spread((3.0, 1.0, 2.0, 5.0, 4.0))
    assert (spread.median, spread.quartiles) == (3.0, (2.0, 4.0))
    assert spread.to_json("x") == {"x": 3.0, "x_quartiles": [2.0, 4.0], "x_range": [1.0, 5.0]}
    assert Spread((7.0,)).quartiles == (7.0, 7.0)


def test_ratios_are_of_the_same_round():
    """Both are disturbed in the second round, and the ratio is not."""
    assert Spread((2.0, 20.0)).over(Spread((1.0, 10.0))).values == (2.0, 2.0)
    assert Spread((2.0, 20.0)).minus(Spread((1.0, 10.0))).values == (1.0, 10.0)


def test_contestants_take_turns_and_the_first_calls_are_thrown_away():
    order, slow_calls = [], []

    def slow(calls):
        slow_calls.append(calls)
        order.append("slow")
        # The first call compiles.
        time.sleep(0.5 if len(slow_calls) == 1 else 0.01 * calls)

    def fast(calls):
        order.append("fast")
        time.sleep(0.002 * calls)

    found = take_turns({"slow": Contestant(slow, steps_per_call=2), "fast": Contestant(fast)}, rounds=4, seconds=0.02)
    assert {name: len(spread.values) for name, spread in found.items()} == {"slow": 4, "fast": 4}
    # Sleeping may take longer than it was told, but not the first call's half second.
    assert 0.005 <= found["slow"].median < 0.1
    assert 0.002 <= found["fast"].median < 0.1
    # After the warm-up: an untimed and a timed turn each, and every other round backwards.
    turns = order[4:]
    assert turns == [name for pair in ("sf", "fs") * 2 for name in [{"s": "slow", "f": "fast"}[x] for x in pair for _ in "12"]]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("devices", [1, 2])
def test_peaks_are_of_the_hardware(devices):
    probes = make_probes(make_mesh(jax.devices()[:devices]), "float32")
    assert probes.amounts["matmul 1024"] == devices * 2 * 1024**3
    peaks = probes.rates(take_turns(probes.contestants, rounds=2, seconds=0.01))
    assert (peaks["devices"], peaks["dtype"]) == (devices, "float32")
    # From a slow laptop to the fastest accelerator.
    assert 1e9 < peaks["matmul_flops_per_second"] < 1e16
    assert 1e8 < peaks["copy_bytes_per_second"] < 1e14


@pytest.mark.parametrize("values", [(1.0, 2.0), (2.0, 1.0, 4.0)])
def test_the_median_lies_between_the_quartiles(values):
    low, high = Spread(values).quartiles
    assert min(values) <= low <= Spread(values).median <= high <= max(values)
