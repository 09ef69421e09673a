from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import run, scaling
from experiments.families.gans import DCGAN
from experiments.registry import find
from gdl_jax.errors import UsageError


def times(seconds):
    return {"step_seconds": seconds, "step_seconds_quartiles": [0.9 * seconds, 1.2 * seconds], "name": "left out"}


def test_efficiency_on_devices_of_their_own():
    one, two = scaling.rows({1: times(1.0), 2: times(0.625)}, shared=False)
    assert (one["speedup"], one["efficiency"]) == (1, 1)
    assert (two["speedup"], two["ideal_speedup"], two["efficiency"]) == (1.6, 2, 0.8)
    assert two["speedup_quartiles"] == pytest.approx([0.9 / 0.75, 1.2 / 0.5625])
    assert "name" not in two


def test_efficiency_on_shared_cores_is_the_share_of_one_devices_speed():
    row = scaling.rows({1: times(1.0), 8: times(1.25)}, shared=True)[1]
    assert (row["speedup"], row["ideal_speedup"], row["efficiency"]) == (0.8, 1, 0.8)
    assert row["devices_share_cores"]


def test_every_count_has_a_process_of_its_own(monkeypatch):
    started = []

    def child(command, *, env, **options):
        assert "device_count" not in env["XLA_FLAGS"]
        # In the user's own folder this tree is found all the same.
        assert "cwd" not in options
        assert env["PYTHONPATH"].split(os.pathsep)[0] == str(Path(run.__file__).parents[1])
        started.append(command[3:-2])
        Path(command[-1]).write_text(json.dumps({"records": [times(1.0)]}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", child)
    options = run.Options(preset="smoke", batch_size=12, dtype="bfloat16")
    found = scaling.scaling(
        "dcgan", DCGAN(batch_size=12), options.words, rounds=3, round_seconds=0.5, say=lambda _: None
    )
    assert [row["devices"] for row in found] == [1, 2, 4]
    settings = ["--preset", "smoke", "--dtype", "bfloat16", "--batch-size", "12"]
    rounds = ["--rounds", "3", "--round-seconds", "0.5"]
    assert started == [["dcgan", *settings, *rounds, "--devices", str(n)] for n in (1, 2, 4)]


def test_a_process_that_fails_is_told(monkeypatch):
    failed = subprocess.CompletedProcess([], 2, "", "error: this went wrong.")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UsageError, match=r"1 devices ended with 2: error: this went wrong\."):
        scaling.in_children(["dcgan"], [1], lambda _: None)


def test_devices_of_one_process_take_turns():
    found = scaling.in_process("vae", find("vae").presets()["smoke"], [2], rounds=2, seconds=0.01)
    assert found[2]["step_seconds"] > 0
