from __future__ import annotations

import jax
import pytest

from benchmarks import measure
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


class Clock:
    """In place of the module `time`: nothing passes but what is slept."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_contestants_take_turns_and_the_first_calls_are_thrown_away(monkeypatch):
    clock, turns = Clock(), []
    monkeypatch.setattr(measure, "time", clock)

    def slow(calls):
        # The first call compiles.
        clock.sleep(0.01 * calls if turns else 0.5)
        turns.append(("slow", calls))

    def fast(calls):
        clock.sleep(0.002 * calls)
        turns.append(("fast", calls))

    found = take_turns({"slow": Contestant(slow, steps_per_call=2), "fast": Contestant(fast)}, rounds=4, seconds=0.025)
    assert found["slow"].values == pytest.approx([0.005] * 4)
    assert found["fast"].values == pytest.approx([0.002] * 4)
    # After two turns each to warm up: an untimed call and then as long as asked for; every other round backwards.
    long = {"slow": [("slow", 1), ("slow", 3)], "fast": [("fast", 1), ("fast", 13)]}
    assert turns[4:] == [turn for name in ("slow", "fast", "fast", "slow") * 2 for turn in long[name]]


@pytest.mark.parametrize("devices", [1, 2])
def test_peaks_are_of_the_hardware(devices):
    probes = make_probes(make_mesh(jax.devices()[:devices]), "float32")
    assert probes.amounts["matmul 1024"] == devices * 2 * 1024**3
    peaks = probes.rates(take_turns(probes.contestants, rounds=2, seconds=0.01))
    assert (peaks["devices"], peaks["dtype"]) == (devices, "float32")
    # From a laptop that has other work to the fastest accelerator.
    assert 1e8 < peaks["matmul_flops_per_second"] < 1e16
    assert 1e8 < peaks["copy_bytes_per_second"] < 1e14


@pytest.mark.parametrize("values", [(1.0, 2.0), (2.0, 1.0, 4.0)])
def test_the_median_lies_between_the_quartiles(values):
    low, high = Spread(values).quartiles
    assert min(values) <= low <= Spread(values).median <= high <= max(values)
