"""Random search: what is drawn, what is run, what is kept, and how trials are ranked."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import search
from experiments.search import Axis, draws, expected_best
from gdl_jax.errors import UsageError, run_module


def test_draws_are_from_their_ranges_and_a_function_of_seed_and_number():
    rng = np.random.default_rng(0)
    many = {
        text: [Axis.of(text).draw(rng) for _ in range(2000)]
        for text in ("a=1:3", "b=0.5:1", "c=1e-5:1e-1:log", "d=x,y", "e=1:4:log")
    }
    counts = [many["a=1:3"].count(str(value)) for value in (1, 2, 3)]
    assert sum(counts) == 2000
    assert np.allclose(np.array(counts) / 2000, 1 / 3, atol=0.05)
    evenly = np.array(many["b=0.5:1"], float)
    assert 0.5 <= evenly.min() < 0.51 < 0.99 < evenly.max() <= 1
    decades = np.floor(np.log10(np.array(many["c=1e-5:1e-1:log"], float)))
    assert np.allclose([(decades == d).mean() for d in (-5, -4, -3, -2)], 0.25, atol=0.05)
    assert set(many["d=x,y"]) == {"x", "y"}
    assert set(many["e=1:4:log"]) == {"1", "2", "3", "4"}

    axes = [Axis.of("a=0.0:1"), Axis.of("--d=x,y")]
    few, more = draws(axes, 3, 0), draws(axes, 6, 0)
    assert more[:4] == few
    assert few[0] == {}
    assert all(trial.keys() == {"a", "d"} for trial in few[1:])
    assert draws(axes, 3, 1) != few
    assert len(draws([Axis.of("d=x,y")], 50, 0)) == 3


def test_expected_best_by_every_draw():
    values = np.array([3.0, 1.0, 2.0])
    for k in (1, 2, 3):
        every = list(itertools.product(values, repeat=k))
        assert expected_best(values)[k - 1] == pytest.approx(np.mean([min(each) for each in every]))
        assert expected_best(values, "max")[k - 1] == pytest.approx(np.mean([max(each) for each in every]))


@pytest.fixture
def trained(monkeypatch):
    """The launcher's place is taken by a function of learning rate and seed; yields what it was told to run."""
    done = []

    def launch(words):
        done.append(words)
        option = dict(itertools.pairwise(words))
        rate, workdir = float(option.get("--optimizer.learning-rate", 2e-4)), Path(option["--workdir"])
        if rate > 0.1:
            return subprocess.CompletedProcess(
                words, 1, "", "error: In step 3, the loss of phase 'd' was not finite.\n"
            )
        value = (math.log10(rate) + 3) ** 2 + 0.01 * int(option["--seed"])
        workdir.mkdir(parents=True)
        lines = ({"step": step, "evaluation": {"test/frechet_pixels": value + 7 - step}} for step in (5, 7))
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(search, "_launch", launch)
    return done


def test_a_search_ranks_by_the_mean_of_seeds_and_goes_on(trained, tmp_path, capsys):
    folder = tmp_path / "s"

    def run(trials, *more):
        words = ["dcgan", "--over", "optimizer.learning-rate=1e-5:1:log", "--trials", str(trials), "--seeds", "0", "2"]
        return run_module(search.main, [*words, "--workdir", str(folder), *more, "--", "--width", "4"])

    assert run(6) == 0
    assert len(trained) == 2 * 7
    said = capsys.readouterr().out
    record = json.loads((folder / "search.json").read_text())
    first, *others = record["trials"]
    assert first["settings"] == {}
    assert first["command"] == "python -m experiments.run dcgan --width 4"
    assert list(first["values"]) == ["0", "2"]
    rates = np.array([float(trial["settings"]["optimizer.learning-rate"]) for trial in others])
    assert ((rates >= 1e-5) & (rates <= 1)).all()
    assert (rates > 0.1).any(), "the test needs a run that diverges"
    for trial, rate in zip(others, rates, strict=True):
        wanted = [None] * 2 if rate > 0.1 else [(math.log10(rate) + 3) ** 2 + 0.01 * seed for seed in (0, 2)]
        assert list(trial["values"].values()) == pytest.approx(wanted)
    candidates = [2e-4, *rates[rates <= 0.1]]
    best = min(candidates, key=lambda rate: abs(math.log10(rate) + 3))
    (line,) = (line for line in said.splitlines() if line.startswith("best: "))
    assert line.endswith("--width 4" if best == 2e-4 else f"--optimizer.learning-rate {best:.4g}")
    assert said.count("(2 failed)") == (rates > 0.1).sum()
    with Image.open(folder / "search.png") as image:
        assert np.asarray(image.convert("L")).std() > 5

    assert run(7) == 0
    assert len(trained) == 2 * 8
    assert json.loads((folder / "search.json").read_text())["trials"][:7] == record["trials"]
    assert run(7, "--seed", "1") == 2
    assert "holds another search (seed was 0 and is 1)" in capsys.readouterr().err
    assert len(trained) == 2 * 8


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["dcgan", "--over", "width"], "--over width: expected SETTING=LOW:HIGH"),
        (["dcgan", "--over", "width=9:3"], "LOW below HIGH"),
        (["dcgan", "--over", "width=0:3:log"], "above 0 for a logarithm"),
        (["dcgan", "--over", "widht=4,8"], "There is no setting --widht"),
        (["dcgan", "--over", "width=a,b"], "--width is 'b'"),
        (["dcgan", "--over", "width=4,8", "--trials", "0"], "or more"),
        (["upsampling", "--over", "images=4,8"], "upsampling is a study"),
        (["dcgan", "--over", "width=4,8", "--measure", "fid"], "test/frechet_pixels"),
    ],
)
def test_mistakes(words, sentence, trained, tmp_path, capsys):
    assert run_module(search.main, [*words, "--workdir", str(tmp_path / "s")]) == 2
    assert sentence in capsys.readouterr().err
    assert len(trained) == ("--measure" in words)


def test_a_real_run_is_read(launch, toy_source, tmp_path, monkeypatch):
    """The launcher itself, in this process, on a model outside the tree."""

    def launched(words):
        answer = launch(*words)
        return subprocess.CompletedProcess(words, answer.code, answer.out, answer.err)

    monkeypatch.setattr(search, "_launch", launched)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "searched.py").write_text(toy_source)
    options = search.Search(
        name="searched:Mine",
        over=("hidden=2,3",),
        trials=1,
        seeds=(4,),
        measure="frechet_pixels",
        workdir=tmp_path / "s",
    )
    words = ["--data.size", "8", "--steps", "2", "--batch-size", "16", "--num-samples", "4", "--tensorboard", "false"]
    trials = search.search(options, words)
    assert len(trials) == 2
    values = [trial["values"]["4"] for trial in trials]
    assert 0 < values[0] <= values[1]
    saved = json.loads((tmp_path / "s" / "trial_001_seed_4" / "config.json").read_text())["config"]
    drawn = json.loads((tmp_path / "s" / "search.json").read_text())["trials"][1]["settings"]
    assert (saved["seed"], saved["hidden"]) == (4, int(drawn["hidden"]))
    with pytest.raises(UsageError, match="holds something that is no search"):
        search.search(search.Search(name="dcgan", over=("width=4,8",), workdir=tmp_path), [])
