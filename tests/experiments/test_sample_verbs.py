"""The verbs that judge samples: sheets, charts and JSON."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments.verbs.filters import drawn, image_kernel
from experiments.verbs.side_by_side import smaller
from gdl_jax.data.source import load
from gdl_jax.metrics.order import some_of
from gdl_jax.metrics.pixel_statistics import sharpness


def numbers(answer, folder, name):
    assert (answer.code, answer.err) == (0, ""), answer
    path = folder / f"{name}_000020.json"
    assert str(path) in answer.out.splitlines()
    for line in answer.out.splitlines():
        if line.endswith(".png"):
            with Image.open(line) as picture:
                assert np.asarray(picture).std() > 0
    return json.loads(path.read_text())


def test_neighbours_are_the_training_images_that_are_nearest(dcgan, launch, tmp_path):
    words = ("--num", 20, "--shown", 3, "--k", 2, "--out", tmp_path)
    answer = launch("neighbours", dcgan.workdir, *words)
    found = numbers(answer, tmp_path, "neighbours")
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        f"neighbours{part}_000020" for part in ("", "_closest", "_of_test_images")
    }
    data = dcgan.open().experiment.data
    train = load(data, "train").take(np.arange(1501))["image"]
    test = load(data, "test").take(some_of(296, 20))["image"]
    distances = np.abs(test[:, None].astype(float) - train).mean((2, 3, 4)) / 255
    for shown, wanted in zip(found["shown"]["neighbours_of_test_images"], distances, strict=False):
        assert shown["pixels"]["distances"] == pytest.approx(np.sort(wanted)[:2].tolist())
    assert found["pixels"]["median_of_test_images"] == pytest.approx(np.median(distances.min(1)))
    assert found["pixels"]["least_of_samples"] == pytest.approx(
        found["shown"]["neighbours_closest"][0]["pixels"]["distances"][0]
    )
    # Twenty steps of training memorise nothing.
    assert found["pixels"]["probability_that_a_sample_is_nearer_than_a_test_image"] < 0.3
    assert found["features"]["share_of_samples_nearer_than_99_percent_of_test_images"] <= 0.2


def test_modes_of_the_classifier_of_the_data(dcgan, launch, tmp_path):
    answer = launch("modes", dcgan.workdir, "--num", 50, "--out", tmp_path)
    found = numbers(answer, tmp_path, "modes")
    assert sum(shares["samples"] for shares in found["shares"].values()) == pytest.approx(1)
    assert found["missing"] == [name for name, shares in found["shares"].items() if not shares["samples"]]
    assert found["covered"] == 10 - len(found["missing"])
    if found["missing"]:
        assert f"missing: {', '.join(found['missing'])}" in answer.out


def test_birthday(dcgan, launch, tmp_path):
    answer = launch("birthday", dcgan.workdir, "--sizes", 4, 30, "--batches", 3, "--shown", 4, "--out", tmp_path)
    found = numbers(answer, tmp_path, "birthday")
    assert found["sizes"] == [4, 30]
    assert all(0 <= share <= 1 for share in found["collisions"])
    assert max(found["collisions_of_training_images"]) <= 0.4
    assert found["support_is"] in ("interpolated", "at most", "at least")
    assert "The threshold decides the result" in answer.out
    assert {path.stem for path in tmp_path.glob("*.png")} == {"birthday_000020", "birthday_pairs_000020"}


def test_human_study(copied, launch):
    answer = launch("human_study", copied, "--num", 4, "--task", "rating", "--milliseconds", 0)
    assert (answer.code, answer.out) == (0, f"{copied / 'samples/human_study_000020.html'}\n")
    study = json.loads(
        re.search(r'id="study">(.*?)</script>', (copied / "samples/human_study_000020.html").read_text())[1]
    )
    assert (study["name"], study["task"], study["milliseconds"]) == ("dcgan_000020", "rating", 0)
    assert [item["real"] for item in study["items"]].count(True) == 4


def test_steepness_and_side_by_side(dcgan, launch, tmp_path):
    answer = launch("steepness", dcgan.workdir, "--num", 8, "--out", tmp_path)
    found = numbers(answer, tmp_path, "steepness")
    places = [found[name] for name in ("real", "fake", "between", "ratios")]
    assert all(0 < place["mean"] <= place["largest"] for place in places)
    assert found["largest"] == pytest.approx(max(place["largest"] for place in places))

    # Two runs whose folders have one name.
    other = shutil.copytree(dcgan.workdir, tmp_path / "more" / dcgan.workdir.name)
    words = (other, "--num", 9, "--shown", 3, "--out", tmp_path)
    found = numbers(launch("side_by_side", dcgan.workdir, *words), tmp_path, "side_by_side")
    real = load(dcgan.open().experiment.data, "test").take(some_of(296, 9))["image"]
    assert found["side"] == 16
    assert list(found["sharpness"]) == [
        "test images",
        *(f"{path} (dcgan, step 20)" for path in (dcgan.workdir, other)),
    ]
    assert found["sharpness"]["test images"] == pytest.approx(sharpness(real).mean())


def test_larger_images_are_made_smaller_without_a_shift():
    ramp = np.broadcast_to(np.arange(16, dtype=np.uint8)[:, None, None] * 16, (2, 16, 16, 1))
    found = smaller(ramp, 4)
    assert found.shape == (2, 4, 4, 1)
    np.testing.assert_allclose(found[0, :, 1, 0], [24, 88, 152, 216], atol=4)


def test_filters(dcgan, launch, tmp_path):
    answer = launch("filters", dcgan.workdir, "--out", tmp_path)
    names = [tmp_path / f"filters_of_{name}_000020.png" for name in ("discriminator", "generator")]
    assert (answer.code, answer.out) == (0, "".join(f"{name}\n" for name in names))
    kernel = image_kernel(dcgan.open().state.networks["discriminator"].params, (8, 8, 1))
    picture = drawn(kernel)
    zoom = 40 // kernel.shape[0]
    cell = picture[: kernel.shape[0] * zoom : zoom, : kernel.shape[1] * zoom : zoom, 0].astype(float) - 127.5
    wanted = kernel[..., 0, 0]
    np.testing.assert_allclose(cell / 127.5, wanted / np.abs(wanted).max(), atol=0.01)


def test_filters_of_dense_layers_are_as_large_as_the_image():
    first, last = np.arange(12.0).reshape(4, 3), np.arange(20.0).reshape(5, 4)
    params = {"Dense_0": {"kernel": first, "bias": np.zeros(3)}, "Dense_1": {"kernel": np.ones((3, 5))}}
    np.testing.assert_array_equal(image_kernel(params, (2, 2, 1))[..., 0, 1], [[1, 4], [7, 10]])
    kernel = image_kernel({"Dense_0": {"kernel": np.ones((3, 5))}, "Dense_1": {"kernel": last}}, (2, 2, 1))
    np.testing.assert_array_equal(kernel[..., 0, 1], [[4, 5], [6, 7]])
    assert image_kernel(params, (3, 3, 1)) is None


def test_mistakes(dcgan, launch, says, tmp_path):
    run = dcgan.workdir
    says(launch("modes", run, "--features", "pixels"), "Modes need a classifier")
    says(launch("neighbours", run, "--k", 9999), "only 1501 training images")
    says(launch("neighbours", run, "--out", tmp_path / "none"), "There is no folder")
    says(launch("birthday", run, "--sizes", 30, 4), "ascending")
    says(launch("birthday", run, "--sizes", 1000), "twice as many are needed; there are 1501")
    says(launch("human_study", run, "--out", tmp_path / "a.txt"), "has to end in .html")
    (tmp_path / "config.json").write_text("{}")
    says(launch("neighbours", tmp_path), "holds no run")
    (tmp_path / "config.json").unlink()
    assert not list(tmp_path.iterdir())


def test_pictures_go_where_the_report_finds_them(copied, launch, dcgan):
    digits = dcgan.open().experiment.data
    shutil.rmtree(copied / "samples")
    assert launch("neighbours", copied, "--num", 5, "--shown", 2, "--pixels", "l2").code == 0
    found = json.loads((copied / "samples" / "neighbours_000020.json").read_text())
    assert found["pixel_distance"] == "the root of the mean squared difference"
    train, test = (load(digits, split) for split in ("train", "test"))
    wanted = test.take(some_of(296, 5))["image"][:1] / 255 - train.take(np.arange(1501))["image"] / 255
    least = np.sqrt(np.square(wanted).mean((1, 2, 3)).min())
    assert found["shown"]["neighbours_of_test_images"][0]["pixels"]["distances"][0] == pytest.approx(least, rel=1e-5)
    assert launch("report", copied).code == 0
    assert "neighbours closest" in (copied / "report.html").read_text()


def test_measures_of_the_generator_itself(dcgan, launch):
    words = ("--metrics", "ppl,ms_ssim,parzen", "--path.line", "lerp", "--path.num", 20, "--num", 50)
    answer = launch("evaluate", dcgan.workdir, *words, "--json")
    found = json.loads(answer.out)
    path = found["path_length"]["protocol"]["path"]
    assert (path["line"], path["num"], path["epsilon"]) == ("lerp", 20, 1e-4)
    assert found["path_length"]["value"] > 0
    assert found["ms_ssim_scales"]["value"] == 1
    assert len(found["ms_ssim_of_samples"]["protocol"]["data_sha256"]) == 64
    assert "does not tell good samples" in found["parzen_log_likelihood"]["protocol"]["warnings"][0]
    of_pixels = launch("evaluate", dcgan.workdir, *words, "--features", "pixels")
    assert "A Parzen window does not tell good samples" in of_pixels.out
