from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gdl_jax.errors import UsageError
from gdl_jax.metrics import compare, neighbours, spill
from gdl_jax.metrics.features import PIXELS, Features, Seen, network_features
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.measures import MEASURES
from gdl_jax.metrics.order import random_order
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.spill import spilled
from gdl_jax.metrics.suite import measure, suiting


def noise(num, mean, size=8, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(mean, 30, (num, size, size, 1)), 0, 255).astype(np.uint8)


def save(path, image):
    Image.fromarray(image[..., 0]).save(path)


@pytest.fixture(scope="module")
def classifier():
    def network(variables, images):
        mean = images.mean((1, 2, 3))
        return images.reshape(len(images), -1), jax.nn.log_softmax(jnp.stack([mean, 1 - mean], 1) * 20)

    return network_features(
        "means", "means", network, {}, shape=(8, 8, 1), image_range=(0.0, 1.0), sha256="ab", num_classes=2
    )


def test_every_measure(classifier):
    real, fake, train = noise(500, 128), noise(600, 140, seed=1), noise(300, 128, seed=2)
    sets = Sets(real, fake, classifier, train, np.array([0.5, 0.5]))
    names = suiting(classifier, 2)
    assert names == tuple(name for name, measure in MEASURES.items() if measure.suits is None)
    found = measure(sets, names, {"split": "test"})
    values = {name: result["value"] for name, result in found.items()}
    assert all(np.isfinite(value) for value in values.values())
    wanted = frechet_distance(moments(classifier.of(fake)), moments(classifier.of(real)))
    assert values["fid"] == pytest.approx(wanted, rel=1e-9)
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
    with pytest.raises(UsageError, match=r"ms_ssim: MS-SSIM takes images of 11 pixels .* these are 8x8"):
        measure(Sets(noise(6, 128), noise(6, 128), PIXELS), ["ms_ssim"], {})


@pytest.mark.parametrize(
    ("name", "num", "match"),
    [
        ("fidd", 70, "There is no metric 'fidd'"),
        ("is", 70, "is needs a classifier, and the features 'pixels' tell no classes"),
        ("memorisation", 70, "needs the training images"),
        ("birthday", 39, "birthday needs 40 or more samples for batches of 20; there are 39"),
        ("prdc", 5, "prdc needs 6 or more samples for five neighbours; there are 5"),
        ("fid", 64, "fid needs 65 or more samples for a covariance of 64 features that is of full rank; there are 64"),
        ("fid_infinity", 129, "fid_infinity needs 130 or more samples for an extrapolation .* 64 features .* are 129"),
    ],
)
def test_mistakes_in_one_sentence(name, num, match):
    with pytest.raises(UsageError, match=match):
        measure(Sets(noise(200, 128), noise(num, 128), PIXELS), [name], {})


def test_too_few_images_of_data():
    with pytest.raises(UsageError, match=r"fid needs 65 or more images of data for .*; there are 64"):
        measure(Sets(noise(64, 128), noise(200, 128), PIXELS), ["fid"], {})


def test_features_that_are_no_numbers():
    broken = Features("broken", "", lambda images: iter([Seen(np.full((len(images), 2), np.nan))]))
    with pytest.raises(UsageError, match="The features of 10 of 10 samples are not finite"):
        measure(Sets(noise(9, 128), noise(10, 128), broken), ["fid"], {})


@pytest.fixture
def peak():
    """Bytes of NumPy's arrays that a function has at the most at one time; what lies in files does not count."""

    def of(function):
        gc.collect()
        tracemalloc.start()
        function()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    return of


def test_memory_does_not_grow_with_the_number_of_images(peak, monkeypatch):
    """Eight times as many images: their features would be 3.7 MB more, and all distances of the larger sets 134 MB.

    What is allowed is Python's own objects, which come and go with its garbage collection.
    """
    monkeypatch.setattr(spill, "ROWS", 128)
    monkeypatch.setattr(neighbours, "ROWS", 128)
    monkeypatch.setattr(neighbours, "COLUMNS", 128)
    weights = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)

    def network(variables, images):
        return images.reshape(len(images), -1) @ variables, None

    features = network_features("some", "", network, weights, shape=(8, 8, 1), image_range=(0.0, 1.0))

    def of(num):
        images = [spilled((noise(256, mean, seed=i),) for i in range(num // 256))[0] for mean in (128, 140)]
        return lambda: measure(Sets(*images, features), ["fid", "fid_infinity", "prdc"], {})

    peak(of(512))
    few, many = peak(of(512)), peak(of(4096))
    assert many < few + 1.5e6, (few, many)


def test_order_and_the_last_part_do_not_matter(classifier):
    """600 samples are two whole batches and a part; a sample beyond them would be seen."""
    real, fake, train = noise(500, 128), noise(600, 140, seed=1), noise(300, 128, seed=2)
    # As a generator that repeats itself, so that equal ones could fall into one part of the set.
    fake[300:400] = fake[200:300]
    names = suiting(classifier, 2)
    shares = np.array([0.5, 0.5])

    def of(real, fake):
        return measure(Sets(real, fake, classifier, train, shares), names, {})

    found = of(real, fake)
    by_brightness = (images[images.mean((1, 2, 3)).argsort()] for images in (real, fake))
    assert {name: result["value"] for name, result in of(*by_brightness).items()} == {
        name: result["value"] for name, result in found.items()
    }
    # A pixel that another device rounds otherwise moves none of the samples of a model.
    other = fake.copy()
    other[0, 0, 0] ^= 1
    drawn = [Sets(real, images, classifier, drawn=True).shuffled().fake for images in (fake, other)]
    assert (drawn[0] != drawn[1]).sum() == 1
    cut = of(real, fake[:-1])
    assert cut["fid"]["value"] != pytest.approx(found["fid"]["value"], rel=1e-6)
    assert found["fid"]["protocol"]["order"].startswith("by SHA-256")


def test_equal_examples_do_not_stand_together():
    images = np.repeat(noise(100, 128), 2, axis=0)
    places = np.argsort(random_order(images)).reshape(100, 2)
    assert (np.abs(np.diff(places)) == 1).mean() < 0.1
    np.testing.assert_array_equal(images[random_order(images)], images[::-1][random_order(images[::-1])])


def test_classes_of_another_data_set_are_none_of_the_data(classifier):
    """A classifier of a thousand classes has no mode of these ten, though their numbers could be compared."""
    ten = np.full(10, 0.1)
    assert suiting(classifier, 10) == tuple(name for name in suiting(classifier, 2) if name != "modes")
    assert "modes" not in suiting(classifier, 0)
    images = noise(200, 128)
    with pytest.raises(
        UsageError, match=r"modes needs a classifier of the 10 classes of the data, and .* tell 2 others"
    ):
        measure(Sets(images, images, classifier, shares=ten), ["modes"], {})
    with pytest.raises(UsageError, match="modes needs the classes of the data, and they are not known"):
        measure(Sets(images, images, classifier), ["modes"], {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    for folder, seed, num in (("a", 0, 80), ("b", 1, 70)):
        (root / folder).mkdir()
        for i, image in enumerate(noise(num, 128, seed=seed)):
            save(root / folder / f"{i}.png", image)
    return root


def test_two_folders(folders, capsys):
    compare.main([str(folders / "a"), str(folders / "b"), "--metrics", "fid,prdc", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"fid", "precision", "recall", "density", "coverage"}
    assert found["fid"]["protocol"]["real"] == 80
    assert found["fid"]["protocol"]["samples"] == 70
    compare.main([str(folders / "a"), str(folders / "a"), "--metrics", "fid"])
    shown, warning = capsys.readouterr().out.splitlines()
    assert warning.startswith("pixels are means of 8x8 cells, which see no texture")
    name, features, value = shown.split()
    assert (name, features) == ("fid", "[pixels]")
    assert abs(float(value)) < 1e-6


def test_warnings_of_few_images_and_of_means(folders, capsys):
    few, blind = "prdc of 70 images: balls around so few", "pixels are means of 8x8 cells"
    for features, wanted in (("pixels", [few, blind]), ("raw_pixels", [few])):
        compare.main([str(folders / "a"), str(folders / "b"), "--metrics=kid,prdc,sharpness", f"--features={features}"])
        said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  ")]
        assert len(said) == len(wanted)
        assert all(any(line.startswith(each) for line in said) for each in wanted)
    compare.main([str(folders / "a"), str(folders / "b"), "--metrics=sharpness"])
    assert "8x8 cells" not in capsys.readouterr().out


def test_a_file_of_samples_and_images_of_other_sizes(folders, tmp_path, capsys):
    np.savez(tmp_path / "b.npz", samples=noise(70, 128, seed=1))
    compare.main([str(folders / "a"), str(folders / "b"), "--json"])
    wanted = json.loads(capsys.readouterr().out)
    compare.main([str(folders / "a"), str(tmp_path / "b.npz"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {k: v["value"] for k, v in found.items()} == {k: v["value"] for k, v in wanted.items()}

    images = noise(70, 128, seed=1).repeat(4, 1).repeat(3, 2).repeat(3, 3)
    (tmp_path / "wide").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "wide" / f"{i}.png")
    np.savez(tmp_path / "wide.npz", samples=images)
    to = compare.Fit(size=8, crop=20, channels=1)
    made = [compare.read_images(tmp_path / name, to) for name in ("wide", "wide.npz")]
    assert made[0].shape == (70, 8, 8, 1)
    order = sorted(range(70), key=lambda i: f"{i}.png")
    np.testing.assert_array_equal(made[0], made[1][order])
    compare.main([str(folders / "a"), str(tmp_path / "wide.npz"), "--metrics=kid", "--size=8", "--channels=1"])
    assert "kid [pixels]" in capsys.readouterr().out
    np.savez(tmp_path / "bad.npz", samples=images[0])
    for path, fragment in (("bad.npz", r"uint8 \(32, 24, 3\); expected uint8 \(num"), ("no.npz", "no.npz has no read")):
        with pytest.raises(UsageError, match=fragment):
            compare.main([str(folders / "a"), str(tmp_path / path)])


def test_mistakes_of_folders(folders, tmp_path):
    def says(real, fake, match, **options):
        with pytest.raises(UsageError, match=match):
            compare.compare(real, fake, **({"metrics": ["fid"], "features": "pixels"} | options))

    a, b = folders / "a", Path(shutil.copytree(folders / "b", tmp_path / "b"))
    says(a, tmp_path / "none", "There is no folder")
    says(a, b, "There is no metric 'fif'", metrics=["fif"])
    says(a, b, "There is no weight file", features="none.pth")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    says(a, b, "holds the weights of no network whose features are known", features=str(tmp_path / "other.npz"))
    few = Path(shutil.copytree(b, tmp_path / "few"))
    for i in range(10):
        (few / f"{i}.png").unlink()
    says(a, few, "fid needs 65 or more samples for a covariance of 64 features that is of full rank; there are 60")
    (b / "3.png").write_bytes((b / "3.png").read_bytes()[:60])
    (b / "5.png").write_text("text")
    says(a, b, r"2 of 70 images in .* cannot be read \(3\.png, 5\.png\); repair or remove them")
    save(few / "0.png", noise(1, 128, 9)[0])
    says(a, few, r"The images in .* differ in size \(8x8, 9x9\): say --size \(pixels, for example 64\)")
    other = tmp_path / "other"
    other.mkdir()
    save(other / "0.png", noise(1, 128, 9)[0])
    says(a, other, "The images are of two sizes, 8x8x1 and 9x9x1")
    (tmp_path / "empty").mkdir()
    says(a, tmp_path / "empty", "has no image")


def test_exit_code_of_a_mistake(folders):
    command = [sys.executable, "-m", "gdl_jax.metrics.compare", str(folders / "a"), str(folders / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
