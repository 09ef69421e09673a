"""RESULTS.md is what the records say, and a record is what `evaluate` says."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from experiments import results
from gdl_jax.errors import UsageError


def test_nothing_in_the_table_is_typed():
    assert results.TABLE.read_text(encoding="utf-8") == results.render(results.read())


# The most that is let pass of the Frechet distance in the classifier's features (training images: 1.0), and the fewest
# of the ten classes.
BOUNDS = {
    "conditional_gan": (1.5, 10),
    "conditional_gan_auxiliary": (2, 10),
    "conditional_gan_convolutional": (5, 10),
    "conditional_gan_lanham": (2, 10),
    "conditional_gan_projection": (2, 10),
    "dcgan": (3, 10),
    "discrete_gan": (7, 10),
    "gan_boundary_seeking": (3.5, 10),
    "gan_dragan": (9, 10),
    "gan_drift": (16, 9),
    "gan_foster_wgan": (8, 10),
    "gan_ganimals": (3, 10),
    "gan_hinge_spectral": (3.5, 10),
    "gan_jiang": (20, 10),
    "gan_lanham_boundary": (8, 9),
    "gan_lanham_dense": (5, 10),
    "gan_lanham_lipschitz": (16, 10),
    "gan_lanham_relativistic": (7, 10),
    "gan_lanham_wgan": (7, 10),
    "gan_least_squares": (3, 10),
    "gan_minimax": (3.5, 10),
    "gan_r1": (7, 10),
    "gan_relativistic": (3.5, 10),
    "gan_relativistic_average": (3.5, 10),
    "gan_relativistic_average_hinge": (3.5, 10),
    "gan_relativistic_average_least_squares": (3.5, 10),
    "gan_resnet_wgan_gp": (6, 10),
    "gan_sngan": (4.5, 10),
    "gan_valle_digits": (3, 10),
    "gan_valle_relativistic": (12, 10),
    "gan_wasserstein_clipped": (4, 10),
    "wgan_gp": (5, 10),
    "wgan_gp_foster": (26, 10),
}


def test_every_gan_that_was_measured_learned_digits():
    runs = {r["name"]: r["runs"] for r in results.read() if "gan" in r["experiment"]}
    assert runs.keys() == BOUNDS.keys()
    for name, (distance, classes) in BOUNDS.items():
        for run in runs[name]:
            assert run["results"]["fid"]["value"] < distance, name
            assert run["results"]["classes_covered"]["value"] >= classes, name
    # Those that the texts are about, and one that seeds make much of, with several.
    assert [name for name, each in runs.items() if len(each) == 3] == [
        "dcgan",
        "gan_boundary_seeking",
        "gan_hinge_spectral",
        "gan_jiang",
        "gan_least_squares",
        "gan_relativistic_average",
        "gan_wasserstein_clipped",
        "wgan_gp",
    ]


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
