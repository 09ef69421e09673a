from __future__ import annotations

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.metrics import compare
from gdl_jax.metrics.features import PIXELS, Features, network_features
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.suite import MEASURES, Sets, measure
from gdl_jax.pictures.grid import save_png


def noise(num, mean, size=8, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(mean, 30, (num, size, size, 1)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def classifier():
    def logits(images):
        mean = images.mean((1, 2, 3))
        return jax.nn.log_softmax(jnp.stack([mean, 1 - mean], 1) * 20)

    return network_features(
        "means", "means", lambda x: x.reshape(len(x), -1), shape=(8, 8, 1), image_range=(0.0, 1.0), sha256="ab",
        log_probabilities=logits,
    )  # fmt: skip


def test_every_measure(classifier):
    real, fake, train = noise(500, 128), noise(600, 140, seed=1), noise(300, 128, seed=2)
    sets = Sets(real, fake, classifier, train, np.arange(500) % 2)
    names = [name for name in MEASURES if name != "ms_ssim"]
    found = measure(sets, names, {"split": "test"})
    values = {name: result["value"] for name, result in found.items()}
    assert all(np.isfinite(value) for value in values.values())
    assert values["fid"] == frechet_distance(moments(classifier.of(fake)), moments(classifier.of(real)))
    assert values["fid_infinity"] < values["fid"]
    assert values["classes_covered"] <= 2
    assert values["nearest_training_image"] > values["nearest_training_image_of_test_images"] * 0.9
    said = found["kid"]["protocol"]
    assert said["features"] == "means"
    assert said["features_sha256"] == "ab"
    assert (said["samples"], said["real"], said["split"]) == (600, 500, "test")
    json.dumps(found)


def test_ms_ssim_of_large_images():
    images = noise(6, 128, 176)
    assert 0 < measure(Sets(images, images, PIXELS), ["ms_ssim"], {})["ms_ssim_of_samples"]["value"] < 1
    with pytest.raises(UsageError, match="ms_ssim: MS-SSIM takes images of 176 pixels a side or more"):
        measure(Sets(noise(6, 128), noise(6, 128), PIXELS), ["ms_ssim"], {})


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("fidd", "There is no metric 'fidd'"),
        ("is", "needs a classifier, and the features 'pixels' tell no classes"),
        ("memorisation", "needs the training images"),
        ("birthday", "needs 200 samples or more; there are 10"),
        ("prdc", "prdc: 5 neighbours of every example need 6 references; there are 4"),
    ],
)
def test_mistakes_in_one_sentence(name, match):
    with pytest.raises(UsageError, match=match):
        measure(Sets(noise(4, 128), noise(10, 128), PIXELS), [name], {})


def test_features_that_are_no_numbers():
    broken = Features("broken", "", lambda images: np.full((len(images), 2), np.nan))
    with pytest.raises(UsageError, match="The features of 10 of 10 samples are not finite"):
        measure(Sets(noise(9, 128), noise(10, 128), broken), ["fid"], {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    for folder, seed in (("a", 0), ("b", 1)):
        (root / folder).mkdir()
        for i, image in enumerate(noise(40, 128, seed=seed)):
            save_png(root / folder / f"{i}.png", image)
    return root


def test_two_folders(folders, capsys):
    compare.main([str(folders / "a"), str(folders / "b"), "--metrics", "fid,prdc", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"fid", "precision", "recall", "density", "coverage"}
    assert found["fid"]["protocol"]["real"] == 40
    compare.main([str(folders / "a"), str(folders / "a"), "--metrics", "fid"])
    name, value = capsys.readouterr().out.split()
    assert name == "fid"
    assert abs(float(value)) < 1e-6


def test_exit_code_of_a_mistake(folders):
    command = [sys.executable, "-m", "gdl_jax.metrics.compare", str(folders / "a"), str(folders / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
