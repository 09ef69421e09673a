import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.workdir import CONTENTS
from gdl_jax.training.checkpoint import Checkpoints

SMOKE = ["dcgan", "--preset", "smoke", "--workdir"]


def steps_of(workdir: Path) -> list[int]:
    return Checkpoints(workdir / "checkpoints", read_only=True).steps()


def test_the_same_command_when_all_is_done(launch, copied, snapshot):
    before = snapshot(copied)
    answer = launch(*SMOKE, copied)
    assert (answer.code, answer.err) == (0, "")
    assert "all 20 steps are done; raise --steps to train on" in answer.out
    assert "compiled" not in answer.out
    assert "continuing" not in answer.out
    beyond = launch(*SMOKE, copied, "--steps", 15)
    assert beyond.code == 0
    assert "the run is at step 20, beyond --steps 15; raise --steps to train on" in beyond.out
    after = snapshot(copied)
    png = {name: v for name, v in before.items() if name.endswith(".png") or name.startswith("checkpoints/20/")}
    assert len(png) > 3
    assert {name: after[name] for name in png} == png
    assert steps_of(copied) == [10, 20]


def test_more_steps_continue_and_other_intervals_are_accepted(launch, copied, dcgan, read_lines):
    free = ["--log-every", 1, "--num-samples", 4, "--tensorboard", "false", "--keep-checkpoints", 1]
    free += ["--sample-every", 100, "--evaluate-every", 100, "--checkpoint-every", 100, "--on-nonfinite", "skip"]
    events = len(list((copied / "tensorboard").iterdir()))
    answer = launch(*SMOKE, copied, "--steps", 22, *free)
    assert (answer.code, answer.err) == (0, "")
    assert "continuing from step 20" in answer.out
    assert "first pictures" not in answer.out
    lines = read_lines(copied)
    assert lines[: len(dcgan.lines)] == dcgan.lines
    assert [(line["step"], "metrics" in line) for line in lines[len(dcgan.lines) :]] == [
        (21, True),
        (22, True),
        (22, False),
    ]
    # Timers go on.
    assert lines[-2]["seconds"]["train"] > dcgan.lines[-2]["seconds"]["train"]
    assert lines[-2]["seconds"]["compile"] > dcgan.lines[-2]["seconds"]["compile"]
    assert max(steps_of(copied)) == 22
    assert len(list((copied / "tensorboard").iterdir())) == events
    config = json.loads((copied / "config.json").read_text())
    assert config["started"] == dcgan.config["started"]
    assert len(config["resumed"]) == 1
    assert config["config"]["steps"] == 22
    assert config["config"]["log_every"] == 1
    # The numbers are those that a run in one piece has.
    assert (copied / "samples" / "000022.png").exists()


def test_the_folder_alone_is_enough(launch, runs, says, tmp_path):
    moved = shutil.copytree(runs("dcgan", "--width", "6", "--data.classes", "3", "8").workdir, tmp_path / "moved")
    before = json.loads((moved / "config.json").read_text())
    answer = launch("continue", moved, "--steps", 22)
    assert (answer.code, answer.err) == (0, "")
    assert "continuing from step 20" in answer.out
    assert max(steps_of(moved)) == 22
    after = json.loads((moved / "config.json").read_text())
    assert after["config"] == before["config"] | {"steps": 22}
    assert after["command"] == before["command"] + " --steps 22"
    answer = launch("continue", moved, "--width", 8)
    says(answer, "width was 6 and is 8", f"`python -m experiments.run continue {moved}`")
    for words in (["--steps", 30], [], [tmp_path / "nowhere"], [moved, "--restart"]):
        says(launch("continue", *words), "such as runs/dcgan" if words[-1:] != ["--restart"] else "--restart")
    assert launch("continue", "--help").out.startswith("python -m experiments.run continue WORKDIR")


def test_a_run_from_before_a_setting_was_there_has_its_default(launch, says, copied):
    path = copied / "config.json"
    saved = json.loads(path.read_text())
    del saved["config"]["data"]["classes"]
    path.write_text(json.dumps(saved))
    says(launch(*SMOKE, copied, "--data.classes", "3"), "data.classes was [] and is ['3']")
    answer = launch(*SMOKE, copied)
    assert (answer.code, answer.err) == (0, "")


def test_a_run_in_one_piece_has_the_same_numbers(launch, copied, dcgan, tmp_path):
    """20 steps = 10 steps, then 10 more in another call."""
    for path in (copied / "checkpoints").glob("20*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    answer = launch(*SMOKE, copied)
    assert answer.code == 0
    assert "continuing from step 10" in answer.out
    lines = [json.loads(line) for line in (copied / "metrics.jsonl").read_text().splitlines()]
    for found, expected in zip(lines, dcgan.lines, strict=True):
        for key in ("step", "epoch", "batch_digest", "metrics", "evaluation"):
            assert found.get(key) == expected.get(key)
    for path, expected in ((tmp_path / "a.npz", copied), (tmp_path / "b.npz", dcgan.workdir)):
        assert launch("export", expected, "--out", path).code == 0
    with np.load(tmp_path / "a.npz") as mine, np.load(tmp_path / "b.npz") as whole:
        for name in set(whole.files) - {"config"}:
            np.testing.assert_array_equal(mine[name], whole[name], err_msg=name)


def test_steps_per_call_never_runs_past_the_last_step(launch, tmp_path, monkeypatch, toy_source, read_lines):
    (tmp_path / "toy_in_calls.py").write_text(toy_source)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["toy_in_calls:Mine", "--data.size", 8, "--num-samples", 4, "--workdir", tmp_path / "run"]
    words += ["--evaluate-every", 10**6, "--tensorboard", "false"]
    assert launch(*words, "--steps", 2).code == 0
    answer = launch(*words, "--steps", 6, "--steps-per-call", 3)
    assert answer.code in (0, 2)
    if answer.code == 0:
        assert max(line["step"] for line in read_lines(tmp_path / "run")) == 6


def test_restart_deletes_only_what_the_run_wrote(launch, copied, read_lines):
    (copied / "notes.txt").write_text("mine")
    assert launch("sample", copied, "--num", 1).code == 0
    answer = launch(*SMOKE, copied, "--restart", "--steps", 5, "--evaluate-every", 100)
    assert (answer.code, answer.err) == (0, "")
    assert (copied / "notes.txt").read_text() == "mine"
    assert [line["step"] for line in read_lines(copied) if "metrics" in line] == [5]
    assert steps_of(copied) == [5]
    assert json.loads((copied / "config.json").read_text())["resumed"] == []
    assert {path.name for path in (copied / "samples").iterdir()} == {"000000.png", "000005.png"}


def test_restart_starts_anew_with_other_settings(launch, copied, dcgan, read_lines):
    answer = launch(*SMOKE, copied, "--restart", "--steps", 5, "--evaluate-every", 100, "--data.seed", 7)
    assert (answer.code, answer.err) == (0, "")
    assert "continuing" not in answer.out
    lines = read_lines(copied)
    assert [line["step"] for line in lines if "metrics" in line] == [5]
    # Digits do not depend on that seed.
    assert lines[0]["metrics"] == dcgan.lines[0]["metrics"]
    assert json.loads((copied / "config.json").read_text())["config"]["data"]["seed"] == 7
    assert steps_of(copied) == [5]
    assert {path.name for path in copied.iterdir()} <= set(CONTENTS)
    assert len(list((copied / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--batch-size", 12],
        ["--preset", "smok"],
        ["--stepz", 1],
        ["--data.name", "mnits"],
        ["--data.size", 18],
        ["--batch-size", 8000],
    ],
)
def test_a_mistake_beside_restart_deletes_nothing(launch, says, copied, snapshot, words):
    before = snapshot(copied)
    says(launch(*SMOKE, copied, "--restart", *words))
    assert snapshot(copied) == before


@pytest.mark.parametrize("text", ["{}", '{"model": "of somebody else"}'])
def test_restart_leaves_alone_what_is_no_run(launch, says, tmp_path, snapshot, text):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "precious").write_text("x")
    (tmp_path / "config.json").write_text(text)
    before = snapshot(tmp_path)
    # Its settings are a mistake as well, so that nothing is trained where this is not noticed.
    answer = launch(*SMOKE, tmp_path, "--restart", "--data.size", 18)
    assert snapshot(tmp_path) == before
    says(answer, str(tmp_path))


def test_restart_leaves_a_run_of_another_experiment_alone(launch, says, copied, snapshot):
    before = snapshot(copied)
    answer = launch("vae", "--preset", "smoke", "--workdir", copied, "--restart", "--data.size", 9)
    assert snapshot(copied) == before
    says(answer, "dcgan")
