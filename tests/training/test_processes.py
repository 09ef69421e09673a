"""Two processes on one machine, over gloo: the numbers of one, and one voice."""

import signal

import jax
import pytest

from gdl_jax.training.processes import CALLS_PER_MEETING, meet

ROUNDING = 2e-5
"""Two processes add up a batch in another order than one: 1e-7 of a gradient, grown over 40 steps of 2e-4 at most."""


def start_both(run, port, *words):
    common = ("--distributed", "--coordinator", f"127.0.0.1:{port}", "--num-processes", 2)
    return [run.start(*common, "--process-id", number, *words) for number in range(2)]


def end_both(processes):
    return [process.end() for process in processes]


@pytest.mark.parametrize(("processes", "calls"), [(1, 1), (2, CALLS_PER_MEETING)])
def test_several_agree_now_and_then_for_it_empties_the_queue(monkeypatch, processes, calls):
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    assert [call for call in range(30) if meet(call)] == list(range(0, 30, calls))


@pytest.mark.slow
def test_two_processes_equal_one(run, uninterrupted, port):
    first, second = end_both(start_both(run, port))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "step 40/40" in first.out
    assert "step " not in second.out
    run.assert_close(uninterrupted, atol=ROUNDING)
    assert [line.get("batch_digest") for line in run.lines()] == [
        line.get("batch_digest") for line in uninterrupted.lines()
    ]
    assert run.pictures().keys() == uninterrupted.pictures().keys()


@pytest.mark.slow
def test_a_signal_to_one_stops_both_and_both_go_on_with_data_from_the_host(run, uninterrupted, port):
    host = ("--data.placement", "host")
    processes = start_both(run, port, *host)
    processes[1].signal(signal.SIGTERM, lambda: bool(run.steps()))
    first, second = end_both(processes)
    stopped = run.steps()[-1]
    assert 5 <= stopped < 40
    assert second.code == 128 + signal.SIGTERM, second.err
    assert "Traceback" not in first.err + second.err
    assert int(run.leaves()["state/step"]) == stopped

    first, second = end_both(start_both(run, port, *host))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert f"continuing from step {stopped}" in first.out
    run.assert_close(uninterrupted, atol=ROUNDING)
    assert len(run.lines()) == len(uninterrupted.lines())
