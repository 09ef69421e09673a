"""The metrics of the verb `evaluate`."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from experiments.verbs import evaluation
from experiments.verbs.evaluation import open_features
from gdl_jax.metrics.classifiers import KEY, SHIPPED, default_features
from gdl_jax.metrics.measures import MEASURES
from gdl_jax.networks.weights import read_weights
from gdl_jax.steps.devices import make_mesh


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
    shipped = default_features("digits")
    said = of_data["fid"]["protocol"]
    assert (said["features"], said["features_sha256"]) == (shipped.name, shipped.sha256)


def test_which_images_of_the_data(measured, dcgan, launch, says):
    found = measured(
        "--metrics", "kid", "--split", "train", "--num-real", 300, "--num", 100, "--features", "raw_pixels"
    )
    said = found["kid"]["protocol"]
    assert (said["split"], said["real"], said["samples"]) == ("train", 300, 100)
    assert said["choice_of_images"] == "300 of 1501 at random (seed 0)"
    assert (said["features"], said["resize"]) == ("raw_pixels", "none")
    assert said["parameters"] == "exponential moving average, decay 0.995 after warm-up"
    assert said["batch_norm"] == "by its running averages"
    test = measured("--metrics", "kid", "--split", "train", "--images", "test")
    assert abs(test["kid"]["value"]) < 4 * test["kid_standard_error"]["value"]
    assert test["kid"]["protocol"]["samples"] == 296
    assert "parameters" not in test["kid"]["protocol"]
    resized = measured("--metrics", "kid", "--resize", "bilinear")["kid"]["protocol"]["resize"]
    assert resized == "bilinear, antialiased, to 28x28x1, rounded to 8 bits"
    words = ("evaluate", dcgan.workdir, "--metrics", "kid")
    says(launch(*words, "--split", "train", "--images", "train"), "would be compared with themselves")
    says(launch(*words, "--num-real", 297), "There are only 296 test images")


def test_number_and_seed_of_the_samples(measured):
    some = [measured("--metrics", "fid", "--num", 100, "--seed", seed)["fid"] for seed in (0, 0, 1)]
    assert some[0] == some[1]
    assert some[0]["value"] != some[2]["value"]
    assert some[0]["protocol"]["samples"] == 100


def test_one_device_and_eight(measured, monkeypatch):
    """Only rounding differs: a batch is split, and a matrix product of fewer rows may be summed in another order."""
    names = "fid,kid,is,prdc"
    eight = measured("--metrics", names)
    monkeypatch.setattr(evaluation, "make_mesh", lambda: make_mesh(jax.devices()[:1]))
    one = measured("--metrics", names)
    assert one.keys() == eight.keys()
    for name, result in one.items():
        assert result["protocol"] == eight[name]["protocol"]
        assert result["value"] == pytest.approx(eight[name]["value"], rel=1e-5, abs=1e-12), name


def test_table_with_the_digest_of_the_weights(dcgan, launch):
    words = ("--split", "train", "--num", 100, "--num-real", 200)
    said = launch("evaluate", dcgan.workdir, "--metrics", "fid", *words).out
    assert said.startswith("dcgan, step 20: 100 samples and 200 training images of digits\n")
    lines = launch("evaluate", dcgan.workdir, "--metrics", "fid").out.splitlines()
    assert lines[0] == "dcgan, step 20: 296 samples and 296 test images of digits"
    sha256 = default_features("digits").sha256
    assert lines[1].split()[:2] == ["fid", f"[digits_classifier_{sha256[:8]}]"]


def test_all_are_all_that_so_few_images_allow(dcgan, launch):
    answer = launch("evaluate", dcgan.workdir, "--metrics", "all", "--num", 64, "--features", "pixels")
    assert answer.code == 0
    assert (
        "fid needs 65 or more samples for a covariance of 64 features that is of full rank; there are 64. It is left"
        in answer.err
    )
    assert "kid [pixels]" in answer.out
    assert "fid" not in answer.out


def test_mistakes(dcgan, runs, launch, says, tmp_path):
    says(launch("evaluate", dcgan.workdir, "--metrics", "fdi"), "There is no metric 'fdi'")
    says(launch("evaluate", dcgan.workdir, "--metrics", "is", "--features", "pixels"), "needs a classifier")
    says(
        launch("evaluate", dcgan.workdir, "--metrics", "fid", "--num", 64),
        "fid needs 65 or more samples for a covariance of 64 features that is of full rank; there are 64",
    )
    says(launch("evaluate", dcgan.workdir, "--metrics", "fid", "--num", 64), "Of so few one can take: kid,is,prdc,prd")
    says(launch("evaluate", dcgan.workdir, "--metrics", "fid", "--num", 1), "num")
    says(
        launch("evaluate", dcgan.workdir, "--metrics", "fid", "--images", "train", "--num", 9999),
        "1501 training images",
    )
    says(launch("evaluate", runs("classifier").workdir, "--metrics", "fid"), "draws no images")
    says(launch("evaluate", dcgan.workdir, "--features", tmp_path / "none.pth"), "There is no weight file")


def test_damaged_weights(dcgan, launch, says, tmp_path):
    path = tmp_path / "weights.safetensors"

    def damaged(wanted, change):
        weights = read_weights(SHIPPED["digits"])
        arrays, metadata = dict(weights.arrays), dict(weights.metadata)
        change(arrays, metadata)
        save_file(arrays, path, metadata=metadata)
        says(launch("evaluate", dcgan.workdir, "--metrics", "fid", "--features", path), wanted)

    bias = "params/MLP_0/Dense_0/bias"
    damaged("The features of 296 of 296 samples are not finite", lambda a, _: a.update({bias: a[bias] * np.nan}))
    damaged(f"does not hold the classifier that it describes: {bias} is missing", lambda a, _: a.pop(bias))
    damaged("its metadata describe no classifier", lambda _, m: m.update({KEY: "{}"}))
    damaged("holds the weights of no network whose features are known here", lambda _, m: m.pop(KEY))
    path.write_bytes(SHIPPED["digits"].read_bytes()[:5000])
    says(launch("evaluate", dcgan.workdir, "--features", path), "holds no arrays that can be read")
