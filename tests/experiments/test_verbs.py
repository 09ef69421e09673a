import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.verbs.drawing import sampled_classes
from gdl_jax.data.source import DataSettings, load
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.pictures.grid import grid, visible_zoom
from gdl_jax.steps.random import stream_key
from gdl_jax.training.export import load_export


def drawn(launch, run, path, *words):
    answer = launch("sample", run.workdir, "--out", path, *words)
    assert (answer.code, answer.err, answer.out) == (0, "", f"{path}\n")
    with np.load(path) as file:
        assert file.files == ["samples"]
        return file["samples"]


def picture(path):
    return np.asarray(Image.open(path))


def enlarged(grey):
    zoom = visible_zoom(*grey.shape[:2])
    return grey[..., 0].repeat(zoom, 0).repeat(zoom, 1)


def test_sample_is_a_function_of_the_seed(launch, says, dcgan, tmp_path, snapshot):
    before = snapshot(dcgan.workdir)
    first = drawn(launch, dcgan, tmp_path / "a.npz", "--num", 7, "--seed", 3)
    again = drawn(launch, dcgan, tmp_path / "b.npz", "--num", 7, "--seed", 3)
    other = drawn(launch, dcgan, tmp_path / "c.npz", "--num", 7, "--seed", 4)
    assert first.shape == (7, 16, 16, 1)
    assert first.dtype == np.uint8
    assert first.std() > 0
    np.testing.assert_array_equal(first, again)
    assert all((a != b).any() for a, b in zip(first, other, strict=True))
    assert len({image.tobytes() for image in first}) == 7

    answer = launch("sample", dcgan.workdir, "--num", 7, "--seed", 3, "--out", tmp_path / "a.png")
    assert answer.code == 0
    np.testing.assert_array_equal(picture(tmp_path / "a.png"), enlarged(grid(first)))
    words = "sample", dcgan.workdir, "--num", 7, "--seed", 3, "--out", tmp_path / "each"
    assert launch(*words).code == 0
    for image, path in zip(first, sorted((tmp_path / "each").iterdir()), strict=True):
        np.testing.assert_array_equal(picture(path), image[..., 0])
    says(launch(*words), "each exists already; a folder of images has to be new or empty")
    assert snapshot(dcgan.workdir) == before


def test_sample_of_classes(launch, runs, dcgan, says, tmp_path):
    run, found = runs("conditional_gan"), {}
    for words in (("3", "8"), ("3",), ()):
        path = tmp_path / "a.npz"
        classes = ["--classes", *words] if words else []
        assert launch("sample", run.workdir, "--num", 5, "--out", path, *classes).code == 0
        with np.load(path) as file:
            found[words] = file["samples"], file["label"].tolist()
    images, labels = found["3", "8"]
    assert labels == [3, 8, 3, 8, 3]
    assert found[("3",)][1] == [3] * 5
    assert found[()][1] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(images[::2], found[("3",)][0][::2])
    assert (images[1::2] != found[("3",)][0][1::2]).any()
    np.testing.assert_array_equal(sampled_classes(run.open().model, 260)[254:], [4, 5, 0, 1, 2, 3])
    says(launch("sample", run.workdir, "--classes", "eight"), "--classes: there is no class 'eight'")
    says(launch("sample", dcgan.workdir, "--classes", 3), "dcgan draws images of no class", "leave --classes out")


def test_sample_goes_to_the_workdir_unless_told(launch, copied):
    answer = launch("sample", copied, "--num", 1)
    assert answer.out == f"{copied / 'samples/sample_000020.png'}\n"
    assert (copied / "samples/sample_000020.png").exists()


def test_checkpoints_by_name_and_step(launch, dcgan, tmp_path):
    latest = drawn(launch, dcgan, tmp_path / "a.npz", "--num", 4)
    of_20 = drawn(launch, dcgan, tmp_path / "b.npz", "--num", 4, "--checkpoint", "20")
    best = drawn(launch, dcgan, tmp_path / "c.npz", "--num", 4, "--checkpoint", "best")
    of_10 = drawn(launch, dcgan, tmp_path / "d.npz", "--num", 4, "--checkpoint", "10")
    np.testing.assert_array_equal(latest, of_20)
    np.testing.assert_array_equal(best, of_20)
    assert (of_10 != of_20).any()


def test_interpolation_leads_from_one_end_to_the_other(launch, dcgan, tmp_path):
    words = ("--num", 3, "--points", 5, "--seed", 2)
    assert launch("interpolate", dcgan.workdir, *words, "--out", tmp_path / "a.npz").code == 0
    with np.load(tmp_path / "a.npz") as file:
        images = file["samples"]
    assert images.shape == (15, 16, 16, 1)
    assert images.dtype == np.uint8
    opened = dcgan.open()
    ends = opened.model.sample_latents(stream_key(2, "interpolate verb"), 6)
    expected = to_uint8(np.asarray(opened.model.decode(opened.state, ends)), opened.model.image_range).astype(int)
    paths = images.reshape(3, 5, 16, 16, 1).astype(int)
    np.testing.assert_allclose(paths[:, 0], expected[:3], atol=1)
    np.testing.assert_allclose(paths[:, -1], expected[3:], atol=1)
    # What lies between is neither end.
    for k in (1, 2, 3):
        assert (paths[:, k] != paths[:, 0]).any()
        assert (paths[:, k] != paths[:, -1]).any()

    assert launch("interpolate", dcgan.workdir, *words, "--out", tmp_path / "a.png").code == 0
    np.testing.assert_array_equal(picture(tmp_path / "a.png"), enlarged(grid(images, columns=5)))


def test_reconstruct_encodes_and_decodes_the_data(launch, vae, tmp_path):
    test = load(DataSettings(size=8), "test")
    originals = test.take(np.arange(len(test)))["image"]
    # As many as there are, so that it is known which.
    answer = launch("reconstruct", vae.workdir, "--num", 100_000, "--out", tmp_path / "all.npz")
    assert answer.code == 0
    with np.load(tmp_path / "all.npz") as file:
        decoded = file["samples"]
    opened = vae.open()
    wanted = opened.model.reconstruct(opened.state, scale(originals, opened.model.image_range))
    assert decoded.shape == originals.shape
    np.testing.assert_allclose(decoded.astype(int), to_uint8(np.asarray(wanted), (0.0, 1.0)).astype(int), atol=1)

    assert launch("reconstruct", vae.workdir, "--num", 4, "--out", tmp_path / "four.png").code == 0
    shown = picture(tmp_path / "four.png")
    zoom = visible_zoom(2 * 8 + 2, 4 * 8 + 3 * 2)
    assert shown.shape == ((2 * 8 + 2) * zoom, (4 * 8 + 3 * 2) * zoom)
    known = {image.tobytes() for image in originals[..., 0]}
    above = [shown[: 8 * zoom : zoom, 10 * i * zoom : (10 * i + 8) * zoom : zoom] for i in range(4)]
    assert all(np.ascontiguousarray(image).tobytes() in known for image in above)


def test_a_gan_cannot_reconstruct(launch, says, dcgan, tmp_path):
    says(launch("reconstruct", dcgan.workdir, "--out", tmp_path / "a.png"), "dcgan makes no images of images", "sample")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["dcgan", "vae"])
def test_evaluate_repeats_the_measure_of_the_training(launch, runs, name):
    run = runs(name)
    answer = launch("evaluate", run.workdir, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    found = json.loads(answer.out)
    logged = [line for line in run.lines if "evaluation" in line][-1]
    assert found["step"] == logged["step"] == 20
    assert (found["name"], found["data"], found["num_test"], found["seed"]) == (name, "digits", 296, 0)
    assert set(found["protocol"]) <= set(found["metrics"])
    # 8 devices while training, one here.
    assert found["metrics"] == pytest.approx(logged["evaluation"], rel=1e-4, abs=1e-6)


def test_evaluate_in_words(launch, dcgan):
    answer = launch("evaluate", dcgan.workdir)
    first, *others = answer.out.splitlines()
    assert first == "dcgan, step 20, 296 test examples of digits"
    logged = [line for line in dcgan.lines if "evaluation" in line][-1]["evaluation"]
    assert [line.split()[0] for line in others] == sorted(logged)


def test_report_is_written_anew(launch, copied):
    (copied / "report.html").unlink()
    answer = launch("report", copied)
    assert (answer.code, answer.out) == (0, f"{copied / 'report.html'}\n")
    page = (copied / "report.html").read_text()
    assert "test/frechet_pixels" in page
    assert "dcgan" in page


def test_export_samples_without_checkpoint_or_launcher(launch, dcgan, tmp_path):
    path = tmp_path / "dcgan.npz"
    answer = launch("export", dcgan.workdir, "--out", path)
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name != "config"]
        assert all(file[name].dtype == np.float32 for name in names)
        config = json.loads(str(file["config"]))
    assert answer.out == f"{path} ({len(names)} arrays)\n"
    assert "generator/params/Dense_0/kernel" in names
    assert config["step"] == 20
    assert config["config"] == dcgan.config["config"]

    networks, loaded = load_export(path)
    assert loaded == config
    model = dcgan.open().model
    latents = model.sample_latents(jax.random.fold_in(stream_key(5, "sample verb"), 0), 6)
    images = model.generator.apply(networks["generator"], latents, train=False)
    expected = drawn(launch, dcgan, tmp_path / "a.npz", "--num", 6, "--seed", 5)
    np.testing.assert_allclose(to_uint8(np.asarray(images), (-1.0, 1.0)).astype(int), expected.astype(int), atol=1)
    # The averaged parameters, not those that training goes on with.
    state = dcgan.open().state.networks["generator"]
    kernel = networks["generator"]["params"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, state.ema["Dense_0"]["kernel"])
    assert (kernel != np.asarray(state.params["Dense_0"]["kernel"])).any()
