"""What README says works: every command of the launcher, word for word but for a smoke preset, and its own model."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from experiments.launch import launch
from experiments.registry import load_all, load_studies
from experiments.run import HELP

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LAUNCHER = "python -m experiments.run"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """The launcher's commands in order, without comments."""
    lines = [line.split("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    lines += [line.strip() for line in re.findall(r"`(python -m experiments.run [^`]*)`", README)]
    return [line for line in lines if LAUNCHER in line]


def in_process(command: str) -> list[str]:
    """The words after the launcher; what can be cut to a smoke preset is."""
    words = shlex.split(command.partition(LAUNCHER)[2])
    entry = (load_all() | load_studies()).get(words[0]) if words else None
    if entry is not None and "smoke" in entry.presets() and not {"--preset", "--help"} & set(words):
        words += ["--preset", "smoke"]
    return words


@pytest.fixture
def compile_quickly():
    """Most of the time here is compiling; nothing here depends on how fast the programs are."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_the_first_two_commands_are_one_line_each():
    first, second = (block for block in blocks("bash")[:2])
    assert first.count("\n") == second.count("\n") == 1
    assert "pip install -e . && python -m experiments.run dcgan" in first
    assert "pip install -e '.[test]' && pytest" in second


def test_every_command_of_the_readme(tmp_path, monkeypatch, capsys, compile_quickly):
    monkeypatch.chdir(tmp_path)
    ran = 0
    for command in commands():
        if "--distributed" in command or "XLA_FLAGS" in command or "NAME" in command or "mine:" in command:
            continue  # in processes of their own, below and in tests/training
        words = in_process(command)
        if not words:
            assert LAUNCHER in HELP
            continue
        try:
            code = launch(words)
        except SystemExit as end:  # --help
            code = end.code
        assert code == 0, (command, capsys.readouterr().err)
        ran += 1
    assert ran >= 10
    notebook, _ = blocks("python")
    scope: dict[str, Any] = {}
    exec(notebook, scope)
    assert scope["images"].shape == (16, 16, 16, 1)
    for made in ("grid.png", "dcgan.npz", "runs/dcgan/report.html", "runs/quick/samples/reconstruct_000030.png"):
        assert (tmp_path / made).stat().st_size > 0, made


def test_the_model_that_the_readme_adds(tmp_path):
    _, source = blocks("python")
    (tmp_path / "mine.py").write_text(source)
    (command,) = [command for command in commands() if "mine:Mean" in command]
    section = README[README.index("## Add a model") :]
    assert len(section.splitlines()) < 45
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}

    def run(*more: str) -> subprocess.CompletedProcess:
        words = [sys.executable, *shlex.split(command)[1:], "--workdir", "run", "--log-every", "50", *more]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    run("--steps", "100")
    resumed = run("--steps", "200")
    assert "continuing from step 100" in resumed.stdout
    losses = [float(loss) for loss in re.findall(r"fit/loss ([\d.e+-]+)", resumed.stdout)]
    assert losses[-1] < 0.1


@pytest.mark.parametrize("path", re.findall(r'(?:src="|\]\()([^")#:]+)["\)]', README))
def test_what_the_readme_shows_exists(path):
    assert (ROOT / path).exists()
