"""RESULTS.md is what the records say, and a record is what `evaluate` says."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import pytest

from experiments import results
from experiments.command_line import parse_training
from experiments.registry import find
from gdl_jax.errors import UsageError


def test_nothing_in_the_table_is_typed():
    assert results.TABLE.read_text(encoding="utf-8") == results.render(results.read())


def test_records_are_of_commands_that_there_are():
    for record in results.read():
        for run in record["runs"]:
            name, *words = shlex.split(run["train"])[3:]
            assert name == record["experiment"]
            launch, experiment = parse_training(name, find(name), words)
            assert experiment.seed == run["seed"]
            assert launch.workdir.name == f"{record['name']}_{run['seed']}"


def results_with(*values):
    protocol = results.read()[0]["runs"][0]["results"]["fid"]["protocol"]
    return [{"value": value, "protocol": protocol} for value in values]


def test_deviations_have_the_places_of_their_mean():
    assert results._value(results_with(1.895, 1.895 + 4e-16)) == "1.895 ± 0"
    assert results._value(results_with(1.8, 2.0)) == "1.9 ± 0.14"
    assert results._value(results_with(0.97, 0.9717)) == "0.9708 ± 0.0012"
    assert results._value(results_with(0.0, 0.0)) == "0 ± 0"
    assert results._value(results_with(1.0, None)) == "1"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["tabel"], "'tabel': did you mean 'table'?"),
        (["table", "--preset", "smoke"], "There is no setting --preset"),
        (["measure", "dcgan", "--preset", "smoke"], "Settings of the experiment come after --."),
        (["measure", "dcgan", "--seeds", "0", "0"], "equal ones are one run"),
        (["measure", "dcgan", "--metrics", "fdi"], "There is no metric 'fdi'"),
        (["measure", "dcgan", "--", "--stpes", "3"], "did you mean '--steps'?"),
        (["measure", "classifier"], "classifier draws no images"),
        (["measure", "xor_mlp"], "xor_mlp is a study"),
    ],
)
def test_mistakes_are_told_before_training(words, fragment, monkeypatch):
    monkeypatch.setattr(results, "_launch", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(UsageError, match=re.escape(fragment)):
        results.main(words)


def test_a_record_and_its_table(dcgan, launch, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RUNS", tmp_path)
    monkeypatch.setattr(results, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(results, "TABLE", tmp_path / "RESULTS.md")

    def act(words, *, echo=False):
        if echo:
            shutil.copytree(dcgan.workdir, words[-1], dirs_exist_ok=True)
            return 12.0, ""
        answer = launch(*words)
        assert answer.code == 0, answer
        return 3.0, answer.out

    monkeypatch.setattr(results, "_launch", act)
    words = ["dcgan", "--label", "mine", "--seeds", "0", "3", "--metrics", "fid,prdc", "--features", "pixels"]
    results.main(["measure", *words, "--", "--preset", "smoke"])

    (measured,) = results.read()
    run = measured["runs"][1]
    evaluate = shlex.split(run["evaluate"])[3:]
    assert evaluate[:2] == ["evaluate", str(tmp_path / "mine_3")]
    assert json.loads(launch(*evaluate).out) == run["results"]
    assert "--preset smoke --seed 3 --workdir" in run["train"]
    assert run["trained"][0]["git"] == dcgan.config["git"]
    assert [part["step"] for part in run["trained"]] == [20]
    assert run["trained"][0]["seconds"]["train"] > 0
    # Once more, with all trained before, by another revision.
    for seed in (0, 3):
        config = tmp_path / f"mine_{seed}" / "config.json"
        config.write_text(json.dumps({**dcgan.config, "git": {"revision": "abc", "dirty": False}}))
    results.main(["measure", *words, "--", "--preset", "smoke"])
    (again,) = results.read()
    assert [part["git"]["revision"] for part in again["runs"][0]["trained"]] == ["abc"]
    assert again["runs"][0]["results"] == measured["runs"][0]["results"]
    assert "Trained at revision abc, measured at" in results.render([again])
    assert measured["floor"]["results"]["fid"]["protocol"]["images"] == "train"
    assert measured["device"]["cores"] >= 1

    assert (tmp_path / "RESULTS.md").read_text() == results.render([again])
    value = run["results"]["fid"]["value"]
    text = results.render([measured, {**measured, "name": "again"}])
    assert text.count("\n## digits 16x16x1, seen as pixels") == 1
    head, _, floor, row, other = next(part for part in text.split("\n\n") if part.startswith("|")).splitlines()
    assert head.split(" | ")[3:5] == ["fid", "precision"]
    assert floor.startswith("| training images |")
    assert row.startswith(f"| `mine` | 2 | 20 | {value:.4g} ± 0 |")
    assert other.replace("again", "mine") == row
    assert text.count(measured["floor"]["evaluate"]) == 2
    for result in run["results"].values():
        result["protocol"]["samples"] = 99
    others = {**measured, "runs": [run]}
    assert results.render([measured, others]).count("\n## digits 16x16x1, seen as pixels") == 2

    (tmp_path / "records" / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match="is no record of format 1"):
        results.main(["table"])
