"""The metrics of the verb `evaluate`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.evaluation import open_features
from gdl_jax.metrics.suite import MEASURES


@pytest.fixture
def measured(dcgan, launch):
    def measure(*words):
        answer = launch("evaluate", dcgan.workdir, *words, "--json")
        assert (answer.code, answer.err) == (0, "")
        return json.loads(answer.out)

    return measure


def test_all_metrics_of_a_classifiers_features(runs, measured):
    classifier = runs("classifier").workdir
    found = measured("--metrics", "all", "--features", classifier)
    features = open_features(classifier)
    assert {"fid", "kid", "inception_score", "precision", "prd_f8", "classes_covered", "nearest_training_image"} < set(
        found
    )
    assert all(np.isfinite(result["value"]) for result in found.values())
    said = found["fid"]["protocol"]
    assert said["features"] == features.name
    assert said["features_sha256"].startswith(features.name.removeprefix("classifier_"))
    assert (said["samples"], said["real"], said["images"], said["split"], said["step"]) == (
        296,
        296,
        "samples",
        "test",
        20,
    )
    assert said["measure"] == MEASURES["fid"].description


def test_training_images_are_nearer_than_samples(measured):
    of_samples, of_data = (measured("--metrics", "fid,prdc", "--images", images) for images in ("samples", "train"))
    assert of_data["fid"]["value"] < of_samples["fid"]["value"]
    assert of_data["precision"]["value"] > of_samples["precision"]["value"]
    assert of_data["fid"]["protocol"]["features"] == "pixels"


def test_number_and_seed_of_the_samples(measured):
    some = [measured("--metrics", "fid", "--num", 100, "--seed", seed)["fid"] for seed in (0, 0, 1)]
    assert some[0] == some[1]
    assert some[0]["value"] != some[2]["value"]
    assert some[0]["protocol"]["samples"] == 100


def test_table(dcgan, launch):
    lines = launch("evaluate", dcgan.workdir, "--metrics", "fid").out.splitlines()
    assert lines[0] == "dcgan, step 20, 296 test examples of digits"
    assert lines[1].split()[0] == "fid"


def test_mistakes(dcgan, runs, launch, says, tmp_path):
    says(launch("evaluate", dcgan.workdir, "--metrics", "fdi"), "There is no metric 'fdi'")
    says(launch("evaluate", dcgan.workdir, "--metrics", "is"), "needs a classifier")
    says(launch("evaluate", dcgan.workdir, "--metrics", "fid", "--num", 1), "num")
    says(
        launch("evaluate", dcgan.workdir, "--metrics", "fid", "--images", "train", "--num", 9999),
        "1501 training images",
    )
    says(launch("evaluate", runs("classifier").workdir, "--metrics", "fid"), "draws no images")
    says(launch("evaluate", dcgan.workdir, "--features", tmp_path / "none.pth"), "There is no weight file")
