"""2N steps equal N steps, a new process, and N steps."""

import pytest


@pytest.mark.slow
def test_twice_n_steps_equal_n_and_n(run, uninterrupted):
    first = run.train("--steps", 20)
    assert first.code == 0, first.err
    assert run.steps()[-1] == 20
    assert int(run.leaves()["state/step"]) == 20

    second = run.train()
    assert second.code == 0, second.err
    assert "continuing from step 20" in second.out
    run.assert_same_state(uninterrupted)
    assert run.pictures() == uninterrupted.pictures()
    digests = {line["step"]: line["batch_digest"] for line in run.lines() if "batch_digest" in line}
    # The first part ends with a line of its own.
    digests.pop(20)
    assert digests == {line["step"]: line["batch_digest"] for line in uninterrupted.lines() if "batch_digest" in line}


def test_a_finished_run_says_so_and_changes_nothing(run, uninterrupted):
    before = {path: path.read_bytes() for path in uninterrupted.checkpoints.rglob("*") if path.is_file()}
    ended = uninterrupted.train()
    assert (ended.code, ended.err) == (0, "")
    assert "all 40 steps are done" in ended.out
    assert {path: path.read_bytes() for path in uninterrupted.checkpoints.rglob("*") if path.is_file()} == before
