"""A disk that is full or not to be written: one sentence, and nothing is lost."""

import contextlib
import dataclasses
import re
import shutil
import signal

import pytest

TIGHT = 18
"""MiB: what the small run asks for, and little more."""


def fill(disk) -> None:
    """Leaves no room on it."""
    free = shutil.disk_usage(disk).free
    with contextlib.suppress(OSError):
        (disk / "filler").write_bytes(bytes(free))
    assert shutil.disk_usage(disk).free < 2**16


@pytest.mark.slow
def test_full_in_the_middle_and_continued(run, small_disk):
    disk = small_disk(TIGHT)
    run = dataclasses.replace(run, workdir=disk / "run")
    often = ("--log-every", 10, "--checkpoint-every", 100)
    process = run.start("--steps", 100_000, *often)

    def idle() -> bool:
        """Whether a checkpoint exists and none is being saved; then the process stands still."""
        if not run.steps() or run.unrecorded():
            return False
        process.signal(signal.SIGSTOP)
        if not run.unrecorded():
            return True
        process.signal(signal.SIGCONT)
        return False

    process.when(idle)
    last = run.steps()[-1]
    fill(disk)
    process.signal(signal.SIGCONT)
    ended = process.end()
    assert ended.code == 1, ended
    assert re.fullmatch(r"error: .*No space left on device.*\n", ended.err), ended.err
    assert run.steps()[-1] == last
    assert run.leaves()

    (disk / "filler").unlink()
    again = run.train("--steps", last + 50, *often)
    assert (again.code, again.err) == (0, "")
    assert f"continuing from step {last}" in again.out
    assert int(run.leaves()["state/step"]) == last + 50


@pytest.mark.slow
def test_too_small_at_the_start(run, small_disk):
    disk = small_disk(8)
    ended = dataclasses.replace(run, workdir=disk / "run").train()
    assert ended.code == 2
    assert ended.err.startswith(f"error: {disk / 'run'} has ")
    assert "MiB of free disk and this run needs about" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_full_at_the_start(run, small_disk):
    disk = small_disk(1)
    fill(disk)
    ended = dataclasses.replace(run, workdir=disk / "run").train()
    assert ended.code == 2
    assert f"error: {disk / 'run'} has 0 MiB of free disk" in ended.err
    assert not (disk / "run").exists()
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_not_to_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    ended = dataclasses.replace(run, workdir=tmp_path / "file" / "run").train()
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
