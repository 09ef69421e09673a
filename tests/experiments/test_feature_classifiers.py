"""The command that makes the classifiers in whose features samples are compared."""

from __future__ import annotations

import numpy as np
import pytest

from experiments import feature_classifiers
from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import SHIPPED, shipped_classifier, stored_classifier
from gdl_jax.metrics.feature_files import open_features
from gdl_jax.networks.weights import read_weights


def test_the_command_in_short_form(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(feature_classifiers, "RECIPES", {"digits": ("--preset", "smoke")})
    words = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--steps", "10"]
    feature_classifiers.main(["digits", *words])
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "digits.safetensors"
    said = capsys.readouterr().out.splitlines()[-1]
    facts = stored_classifier(path, read_weights(path)).facts
    assert facts["data"] == "digits"
    assert facts["steps"] == "10"
    assert facts["command"] == "python -m experiments.run classifier --preset smoke --steps 10"
    assert said == f"{path}: {path.stat().st_size:,} bytes, accuracy {facts['accuracy'].split()[0]}"

    features = open_features(str(path))
    assert features.name == f"digits_classifier_{features.sha256[:8]}"
    assert features.of(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 16)
    # The same command again goes on where it was, and finds nothing left to do.
    feature_classifiers.main(["digits", *words])
    assert open_features(str(path)).sha256 == features.sha256


def test_recipes_are_those_of_the_files():
    assert set(feature_classifiers.RECIPES) == set(SHIPPED)
    for name, words in feature_classifiers.RECIPES.items():
        assert " ".join(words) in shipped_classifier(name).facts["command"]
    with pytest.raises(UsageError, match="There is no recipe for 'mnits': did you mean 'mnist'"):
        feature_classifiers.main(["mnits"])
