"""An experiment that is no part of this tree: one file, found by `package.module:Name`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err


def read_steps(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["step"] for line in lines if '"metrics"' in line and line.endswith("}")]


def test_train_stop_resume_sample(tmp_path, toy_source):
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "my_module.py").write_text(toy_source)
    workdir = tmp_path / "runs" / "Mine"
    words = ["my_package.my_module:Mine", "--data.size", 8, "--batch-size", 16, "--num-samples", 4, "--log-every", 50]
    words += ["--tensorboard", "false", "--evaluate-every", 10**9, "--sample-every", 10**9]

    process = start(tmp_path, *words, "--steps", 10**8)
    deadline = time.monotonic() + 100
    while len(read_steps(workdir / "metrics.jsonl")) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, err) == (130, ""), out
    stopped = int(out.split("stopped by SIGINT at step ")[1].split(";")[0])
    assert stopped >= 100
    again = out.split("continue with: ")[1].strip()
    assert again == "python -m experiments.run " + " ".join(map(str, words)) + f" --steps {10**8}"
    assert read_steps(workdir / "metrics.jsonl")[:2] == [50, 100]

    last = stopped // 50 * 50 + 100
    code, out, err = finish(start(tmp_path, *words, "--steps", last))
    assert (code, err) == (0, ""), out
    assert f"continuing from step {stopped}" in out
    steps = read_steps(workdir / "metrics.jsonl")
    assert steps == sorted(set(steps))
    assert set(range(50, last + 1, 50)) <= set(steps)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["metrics"]["fit/loss"] for line in lines[:-1]]
    assert losses[-1] < losses[0]
    assert json.loads((workdir / "config.json").read_text())["config"]["hidden"] == 16

    code, out, err = finish(start(tmp_path, "sample", workdir, "--num", 3, "--out", "three.npz"))
    assert (code, err) == (0, ""), out
    with np.load(tmp_path / "three.npz") as file:
        assert file["samples"].shape == (3, 8, 8, 1)


def test_help_lists_its_own_setting(tmp_path, toy_source):
    (tmp_path / "alone.py").write_text(toy_source)
    code, out, err = finish(start(tmp_path, "alone:Mine", "--help"))
    assert (code, err) == (0, "")
    assert "A dense autoencoder of 8x8 images." in out
    assert "Units between the two layers." in out
    code, out, err = finish(start(tmp_path, "alone:Mien"))
    assert (code, out) == (2, "")
    assert err == "error: alone has no experiment 'Mien': did you mean 'Mine'?\n"


def test_tokens_train_are_evaluated_and_go_on(tmp_path, words_source, launch, read_lines, says, monkeypatch):
    """Nothing of the training needs images: neither the data nor the model have any."""
    (tmp_path / "words_of_mine.py").write_text(words_source)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["words_of_mine:Words", "--workdir", tmp_path / "run", "--batch-size", 16, "--evaluate-every", 10]
    words += ["--checkpoint-every", 10, "--tensorboard", "false"]
    for steps in (20, 40):
        answer = launch(*words, "--steps", steps)
        assert (answer.code, answer.err) == (0, ""), answer
    assert "continuing from step 20" in answer.out
    found = {line["step"]: line["evaluation"] for line in read_lines(tmp_path / "run") if "evaluation" in line}
    assert list(found) == [10, 20, 30, 40]
    assert found[40]["test/nll"] < found[20]["test/nll"] < np.log(7)
    assert (tmp_path / "run" / "report.html").exists()
    says(launch("sample", tmp_path / "run"), "draws no images")
    says(launch("dcgan", "--data.name", "words_of_mine:words", "--dry-run"), "takes images, and the data have only")
    says(launch(*words, "--data.flip", "true", "--restart"), "--data.flip mirrors images, and this model has none")
    says(launch("dcgan", "--data.name", "words_of_mine:wrods"), "'words_of_mine:wrods' cannot be opened")
