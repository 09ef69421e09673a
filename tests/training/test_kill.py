"""SIGKILL at any moment: the same command goes on as if nothing had been."""

import signal

import pytest

from experiments import workdir
from experiments.registry import find

MOMENTS = {
    "the first checkpoint is being saved": lambda run: bool(run.unrecorded()),
    "a checkpoint has been saved": lambda run: bool(run.steps()),
    "another is being saved": lambda run: bool(run.steps()) and bool(run.unrecorded()),
    "training": lambda run: run.logged(27),
}


@pytest.mark.slow
def test_killed_again_and_again(run, uninterrupted):
    died_saving = 0
    for name, moment in MOMENTS.items():
        ended = run.interrupt(signal.SIGKILL, lambda moment=moment: moment(run))
        assert ended.code == -signal.SIGKILL, name
        died_saving += bool(run.unrecorded())
        if run.steps():
            assert run.leaves(), name
    assert died_saving, "no kill came while a checkpoint was being saved"

    ended = run.train()
    assert ended.code == 0, ended.err
    assert "continuing from step" in ended.out
    assert not run.unrecorded()
    run.assert_same(uninterrupted)


def test_killed_before_anything_was_written(tmp_path):
    (tmp_path / ".config.json.123.partial").touch()
    workdir.check(tmp_path, "dcgan", find("dcgan")(), restart=False)
