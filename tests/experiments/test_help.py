import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.command_line import parse_training
from experiments.registry import find

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_where_to_start(launch, words):
    answer = launch(*words)
    assert (answer.code, answer.err) == (0, "")
    assert "python -m experiments.run dcgan " in answer.out
    assert "python -m experiments.run list " in answer.out


def test_where_to_start_is_said_without_importing_jax(tmp_path):
    script = """
import sys
from experiments.run import main
code = main([])
slow = {"jax", "flax", "numpy", "tyro", "orbax"} & set(sys.modules)
sys.exit(f"imported {slow}" if slow else code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Generative models in JAX.")


def test_help_of_an_experiment_shows_defaults(launch):
    answer = launch("dcgan", "--help")
    assert answer.code == 0
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", answer.out).split())
    for setting in [
        "--batch-size INT Examples in a batch, over all devices and processes. (default: 64)",
        "--dtype {float32,bfloat16} Of the networks' computations; parameters, losses and optimiser states are "
        "float32. (default: float32)",
        "--workdir {None}|PATH Folder of the run (default: runs/NAME). (default: None)",
        "--optimizer.b2 FLOAT Decay of the mean of their squares (not SGD). (default: 0.999)",
        "--tensorboard {true,false} Write TensorBoard events. (default: true)",
    ]:
        assert setting in shown
    assert "Deep convolutional GAN" in shown


def test_the_size_of_an_experiments_own_data_is_that_of_no_others():
    for words, size in [
        ([], 16),
        (["--data.name", "digits"], 16),
        (["--data.name", "mnist"], None),
        (["--data.name=mnist", "--data.size", "24"], 24),
        (["--preset", "smoke", "--data.name", "mnist"], None),
        (["--preset", "paper"], 64),
        # The paper's networks are of this size, whatever the data.
        (["--preset", "paper", "--data.name", "folder"], 64),
    ]:
        _, experiment = parse_training("dcgan", find("dcgan"), words)
        assert experiment.data.size == size, words


def test_help_beside_a_preset_shows_its_values(launch):
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", launch("dcgan", "--preset", "smoke", "--help").out).split())
    assert "--batch-size INT Examples in a batch, over all devices and processes. (default: 16)" in shown


def test_help_of_a_verb(launch):
    answer = launch("interpolate", "--help")
    assert answer.code == 0
    assert "(default: 8)" in answer.out
    assert "Pairs." in answer.out
    assert "--checkpoint" in answer.out


def test_dry_run_says_all_and_writes_nothing(launch, tmp_path, monkeypatch, snapshot, dcgan):
    monkeypatch.chdir(tmp_path)
    answer = launch("dcgan", "--preset", "smoke", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert snapshot(tmp_path) == {}
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["batch_size", "16"] in lines
    assert ["optimizer.b1", "0.5"] in lines
    # 4x4x4x8 weights; as many parameters as the run has.
    assert ["params/Conv_1/kernel", "4x4x4x8", "float32", "512"] in lines
    parameters = dcgan.config["parameters"]
    totals = [int(line[1].replace(",", "")) for line in lines if line[:1] == ["params"]]
    assert totals == [parameters["discriminator"], parameters["generator"]]
    assert ["parameters", f"{sum(parameters.values()):,}"] in lines
    for what in ("FLOPs per step", "compile time", "device memory", "one checkpoint", "disk"):
        (line,) = [text for text in answer.out.splitlines() if text.strip().startswith(what)]
        number = float(re.search(r"[\d,.]*\d", line.removeprefix("  " + what)).group().replace(",", ""))
        # Of the checkpoint only tenths of a MiB are shown.
        assert number > 0 or what == "one checkpoint", line
    assert "1,501 (93 steps of a batch per epoch)" in answer.out


def test_dry_run_counts_the_flops_of_the_whole_step(launch, vae):
    answer = launch("vae", "--preset", "smoke", "--dry-run")
    (line,) = [line for line in answer.out.splitlines() if "FLOPs per step" in line]
    opened = vae.open()
    batches = {
        "image": jax.ShapeDtypeStruct((1, 16, 8, 8, 1), np.float32),
        "label": jax.ShapeDtypeStruct((1, 16), np.int32),
    }
    whole = jax.jit(opened.model.step).lower(opened.state, batches, jax.random.key(0)).cost_analysis()["flops"]
    # Of all 8 devices together, as many as of one.
    assert 0.5 * whole < float(line.split()[3].replace(",", "")) < 2 * whole
