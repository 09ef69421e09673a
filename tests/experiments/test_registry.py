import dataclasses
import importlib.util
import inspect
import json
import re

import pytest

from experiments.listing import MODULE_SYSTEMS, VERB_SYSTEMS
from experiments.registry import VERBS, load_all, load_studies, read_catalogue
from experiments.run import HELP
from experiments.verbs.every_verb import EVERY_VERB
from gdl_jax.data.source import DataSettings
from gdl_jax.training.settings import MAY_CHANGE

EXPERIMENTS = load_all()
ENTRIES = EXPERIMENTS | load_studies()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_complete(name):
    experiment = EXPERIMENTS[name]
    assert "smoke" in experiment.presets()
    assert all(type(preset) is experiment for preset in experiment.presets().values())
    assert experiment.paper
    assert set(experiment.systems) <= set(read_catalogue())
    # Of its own: a dataclass without one gets its signature for a docstring.
    assert not inspect.getdoc(experiment).startswith(experiment.__name__ + "(")
    assert experiment.summary().endswith(".")
    assert set(experiment.recipes) <= set(experiment.systems)
    assert {preset for presets in experiment.recipes.values() for preset in presets} <= set(experiment.presets())
    if experiment.monitor is not None:
        assert experiment.monitor[1] in ("min", "max")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_setting_of_its_own_is_explained_in_help(name, launch):
    answer = launch(name, "--help")
    assert answer.code == 0
    words = " ".join(answer.out.replace("│", " ").split())
    default = EXPERIMENTS[name]()
    for setting in dataclasses.fields(default):
        value = getattr(default, setting.name)
        nested = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        names = [f"{setting.name}.{inner.name}" for inner in nested] or [setting.name]
        for path in names:
            assert f"--{path.replace('_', '-')} " in words
    # Each option has a meaning before its default.
    assert words.count("(default: ") >= len(dataclasses.fields(default))


def test_settings_that_may_change_exist():
    default = EXPERIMENTS["dcgan"]()
    for path in MAY_CHANGE:
        value = default
        for part in path.split("."):
            assert hasattr(value, part), path
            value = getattr(value, part)


def test_list_names_every_experiment_and_study(launch):
    answer = launch("list")
    assert (answer.code, answer.err) == (0, "")
    for name, entry in ENTRIES.items():
        assert f"{name}: {entry.summary()}\n" in answer.out
        assert f"python -m experiments.run {name}\n" in answer.out + "\n"


def test_list_as_json(launch):
    answer = launch("list", "--json")
    found = json.loads(answer.out)
    assert (answer.code, answer.err) == (0, "")
    assert [entry["name"] for entry in found] == list(ENTRIES)
    for entry in found:
        assert list(entry) == ["name", "kind", "summary", "paper", "systems", "data", "presets", "recipes"]
        registered = ENTRIES[entry["name"]]
        assert entry["kind"] == ("experiment" if entry["name"] in EXPERIMENTS else "study")
        assert entry["summary"] == registered.summary()
        assert entry["paper"] == registered.paper
        assert entry["systems"] == list(registered.systems)
        assert entry["presets"] == list(registered.presets())
        assert entry["recipes"] == {system: list(presets) for system, presets in registered.recipes.items()}
        if isinstance(getattr(registered(), "data", None), DataSettings):
            assert entry["data"][0] == registered().data.name
        else:
            assert entry["data"] == []


def test_list_of_one_text_gives_its_systems_with_commands(launch):
    lines = launch("list", "--text", "foster").out.splitlines()
    where = next(i for i, line in enumerate(lines) if line.split()[:1] == ["F15"])
    assert "autoencoder" in lines[where]
    assert lines[where + 1].strip() == "python -m experiments.run vae --preset foster"
    classifiers = [line.split("classifier ")[1] for line in lines if "run classifier" in line]
    assert classifiers == [f"--preset {name}" for name in ("foster_dense", "foster_strided", "foster")]
    catalogue = read_catalogue()
    shown = {line.split()[0] for line in lines} & set(catalogue)
    assert {catalogue[system].author for system in shown} == {"Foster"}
    covered = {system for entry in ENTRIES.values() for system in entry.systems}
    covered |= {system for systems in (VERB_SYSTEMS | MODULE_SYSTEMS).values() for system in systems}
    assert shown == {system for system in covered if catalogue[system].author == "Foster"}


def test_verbs_are_known_listed_and_said_where_to_start():
    assert set(VERBS) == {"list", "continue", *EVERY_VERB}
    assert set(VERB_SYSTEMS) <= set(EVERY_VERB)
    assert set(VERBS) <= set(re.findall(r"\w+", HELP))


def test_list_of_one_text_leads_to_verbs(launch):
    both = VERB_SYSTEMS | MODULE_SYSTEMS
    assert {system for systems in both.values() for system in systems} <= set(read_catalogue())
    assert all(importlib.util.find_spec(command.split()[0]) for command in MODULE_SYSTEMS)
    lines = launch("list", "--text", "jiang").out.splitlines()
    where = next(i for i, line in enumerate(lines) if line.split()[:1] == ["J12"])
    assert lines[where + 1].strip() == "python -m experiments.run latent_grid WORKDIR"


def test_list_of_one_text_has_each_chapter_once(launch):
    chapters = [line for line in launch("list", "--text", "lanham").out.splitlines() if not line.startswith(" ")]
    assert "Lanham, ch. 1" in chapters
    assert len(chapters) == len(set(chapters))


def test_list_of_one_text_leads_to_its_studies(launch):
    lines = launch("list", "--text", "foster").out.splitlines()
    where = next(i for i, line in enumerate(lines) if line.split()[:1] == ["F04"])
    assert lines[where + 1].strip() == "python -m experiments.run wrodl"


def test_list_of_one_text_as_json_has_only_its_experiments(launch):
    found = {entry["name"] for entry in json.loads(launch("list", "--text", "lanham", "--json").out)}
    catalogue = read_catalogue()
    assert found == {
        name for name, entry in ENTRIES.items() if any(catalogue[system].author == "Lanham" for system in entry.systems)
    }
    assert {"dcgan", "xor_mlp"} <= found


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--text", "fostr"], "'fostr': did you mean 'foster'?"),
        (["--text", "zzz"], "foster, jiang, lanham, valle"),
        (["--jsn"], "--jsn: did you mean '--json'?"),
    ],
)
def test_wrong_list(launch, says, words, fragment):
    says(launch("list", *words), fragment)
