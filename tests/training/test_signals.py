"""Ctrl-C and SIGTERM: the run ends at a step that it has saved, and says how to go on."""

import json
import os
import shlex
import signal
import time

import pytest

from experiments import command_line
from experiments.registry import find
from gdl_jax.training.interrupt import Interrupt


def test_the_first_signal_is_noted_and_the_second_ends(monkeypatch):
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        assert (interrupt.received, interrupt.exit_code) == (None, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (interrupt.received, interrupt.exit_code) == (signal.SIGTERM, 143)
        os.kill(os.getpid(), signal.SIGINT)
        assert ends == [130]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def words_to_continue(ended) -> list[str]:
    """The command that the run says, without `python -m experiments.run`."""
    line = next(line for line in ended.out.splitlines() if line.startswith("stopped by"))
    python, m, module, *words = shlex.split(line.partition("continue with: ")[2])
    assert (python, m, module) == ("python", "-m", "experiments.run")
    return words


@pytest.mark.slow
def test_stopped_again_and_again(run, uninterrupted):
    said = ["--restart"]
    moments = {
        "compiling": (signal.SIGINT, lambda: (run.workdir / "samples/000000.png").exists(), 1),
        "training": (signal.SIGTERM, lambda: 5 in run.steps(), 1),
        "training on": (signal.SIGINT, lambda: run.logged(18), 1),
        "training, impatiently": (signal.SIGTERM, lambda: run.logged(27), 3),
    }
    reached = -1
    for name, (number, moment, times) in moments.items():
        process = run.start(*said)
        process.signal(number, moment, times=times)
        ended = process.end()
        assert ended.code == 128 + number, (name, ended)
        assert ended.err == "", name
        if times == 1:
            step = run.steps()[-1]
            assert f"stopped by {number.name} at step {step}; continue with:" in ended.out, name
            assert words_to_continue(ended) == [*run.words, "--workdir", str(run.workdir)], name
            assert reached < step < 40, name
            assert int(run.leaves()["state/step"]) == step
            reached = step
        said = []

    ended = run.train()
    assert (ended.code, ended.err) == (0, "")
    run.assert_same(uninterrupted)
    assert len(json.loads((run.workdir / "config.json").read_text())["resumed"]) == len(moments)


@pytest.mark.slow
def test_while_importing(run):
    # From the moment that jaxlib is mapped the launcher's handlers are in place; before it, Python itself is not ours.
    for delay in (0, 0.03, 0.06, 0.09, 0.12, 0.18, 0.24, 0.3):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = run.start()
            process.when(lambda process=process: process.has_mapped("jaxlib"))
            time.sleep(delay)
            process.signal(number)
            ended = process.end()
            assert ended.code == 128 + number, ended
            assert ended.err in ("", "interrupted\n")
            assert not run.workdir.exists()


def test_while_the_settings_are_read(monkeypatch):
    def stopped(*_, **__):
        raise SystemExit(128 + signal.SIGTERM)

    monkeypatch.setattr(command_line.tyro, "cli", stopped)
    with pytest.raises(SystemExit):
        command_line.parse_training("dcgan", find("dcgan"), [])
