"""Three digits as colours of one image, and the classifier that tells their thousand classes."""

from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.data.source import DataSettings, Source, Stacked, load, resident
from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import default_features

SETTINGS = DataSettings(stacked=True, size=16)


def test_three_examples_are_the_colours():
    source, digits = load(SETTINGS, "test"), load(DataSettings(size=16), "test")
    assert isinstance(source, Source)
    assert (source.name, len(source), len(source.classes)) == ("stacked_digits", 25_600, 1000)
    assert source.spec["image"].shape == (16, 16, 3)
    assert len(np.unique(source.labels)) == 1000
    chosen = np.array([7, 3, 7])
    found = source.take(chosen)
    for colour in range(3):
        wanted = digits.take(source.triples[chosen, colour])
        np.testing.assert_array_equal(found["image"][..., colour], wanted["image"][..., 0])
        assert [source.classes[label].split()[colour] for label in found["label"]] == [str(x) for x in wanted["label"]]
    np.testing.assert_array_equal(found["label"], source.labels[chosen])
    np.testing.assert_array_equal(resident(source).labels, source.labels)
    other = Stacked(digits, seed=1)
    assert (other.triples != source.triples).any()


def test_its_classifier_tells_the_thousand_classes():
    features = default_features(SETTINGS.full_name)
    examples = load(SETTINGS, "test").take(np.arange(512))
    seen = features.look(examples["image"])
    assert features.num_classes == seen.log_probabilities.shape[1] == 1000
    assert (seen.log_probabilities.argmax(1) == examples["label"]).mean() > 0.9
    np.testing.assert_allclose(np.exp(seen.log_probabilities.astype(np.float64)).sum(1), 1, rtol=1e-4)


def test_what_cannot_be_stacked():
    for changes in ({"channels": 3}, {"name": "triangles"}):
        with pytest.raises(UsageError, match="makes grey images with labels into colours"):
            load(DataSettings(stacked=True, num_examples=20, **changes), "train")
