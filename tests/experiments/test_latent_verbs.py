"""Every verb on codes, on one short run of a VAE and one of an autoencoder."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.verbs.attributes import attribute_values, flags_of
from experiments.verbs.codes import Coded, Coder, encode_data
from experiments.verbs.latents import in_plane
from experiments.verbs.walks import decode_hidden_noise
from gdl_jax.data.source import ArraySource, load
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.metrics.latent import ks_distance, quantiles
from gdl_jax.models.vae import reparameterize
from gdl_jax.steps.random import stream_key


@pytest.fixture
def autoencoder(runs):
    return runs("autoencoder")


@pytest.fixture
def faces(runs):
    """A VAE with more than two dimensions on data with attributes."""
    words = "--data.name faces --data.size 16 --data.num-examples 128 --latent-size 6 --architecture dense"
    words += " --likelihood squared_error"
    return runs("vae", *words.split())


@pytest.fixture
def coder(vae, tmp_path):
    return Coder(vae.open(), tmp_path, 0)


def done(launch, verb, run, out, *words):
    """The pictures that a verb wrote, by name without the step, and what it said beside them."""
    answer = launch(verb, run.workdir, "--out", out, *words)
    assert (answer.code, answer.err) == (0, ""), answer
    paths = sorted(out.iterdir())
    step = run.open().step
    assert all(path.stem.endswith(f"_{step:06d}") for path in paths)
    assert all(f"{path}\n" in answer.out for path in paths)
    return {path.name.replace(f"_{step:06d}", ""): path for path in paths}, answer.out


def number(said, name):
    return float(re.search(rf"^  {re.escape(name)}\s+(\S+)$", said, re.M)[1])


def test_codes_shows_images_and_reconstructions(launch, vae, tmp_path, coder):
    pictures, said = done(launch, "codes", vae, tmp_path, "--num", 30, "--shown", 6)
    assert set(pictures) == {"codes.png"}
    found = encode_data(coder, "test", 30)
    wanted = vae.open().model.reconstruct(vae.open().state, scale(found.images, (0.0, 1.0)))
    error = np.square(found.images / 255 - np.asarray(wanted)).mean()
    assert number(said, "mean squared error, pixels in [0, 1]") == pytest.approx(error, rel=0.01)
    assert number(said, "squared error of an image") == pytest.approx(64 * error, rel=0.01)
    assert 0 < number(said, "squared error of 2 principal components") < 64 * error


def test_scatter_of_a_vae(launch, vae, tmp_path):
    pictures, said = done(launch, "scatter", vae, tmp_path, "--draws", 7)
    assert set(pictures) == {"latent.png", "latent_p_values.png", "latent_draws.png", "latent_draws_decoded.png"}
    shares = [number(said, f"share of the square of p-values: {digit}") for digit in range(10)]
    assert sum(shares) == pytest.approx(1, abs=0.01)
    assert number(said, "KL of their normal to the prior, nats") >= 0


def test_scatter_of_an_autoencoder_says_that_it_has_no_prior(launch, autoencoder, tmp_path):
    pictures, said = done(launch, "scatter", autoencoder, tmp_path)
    assert "latent_p_values.png" not in pictures
    assert "latent.png" in pictures
    assert "autoencoder has no prior, so its codes have no p-values." in said
    assert 0 <= number(said, "empty cells of 20 x 20 in the codes' bounding box") < 1
    codes = encode_data(Coder(autoencoder.open(), tmp_path, 0), "test", 5000).codes
    assert number(said, "length of the mean code") == pytest.approx(np.linalg.norm(codes.mean(axis=0)), rel=0.01)
    decoded = pictures["latent_draws_decoded.png"].read_bytes()
    pictures, _ = done(launch, "scatter", autoencoder, tmp_path, "--draw-from", "normal")
    assert pictures["latent_draws_decoded.png"].read_bytes() != decoded


def test_scatter_with_more_dimensions_is_of_principal_components(launch, faces, tmp_path):
    pictures, said = done(launch, "scatter", faces, tmp_path, "--split", "train")
    assert "latent_p_values.png" in pictures
    shares = [number(said, f"share of the square of p-values: {name}") for name in ("black", "blond", "red")]
    assert max(shares) > 0


def test_sampled_codes_differ_from_their_means_as_the_posterior_says(coder, vae):
    means, drawn = (encode_data(coder, "test", 300, sampled=sampled).codes for sampled in (False, True))
    images = load(vae.open().experiment.data, "test").take(np.arange(len(means)))["image"]
    mean, log_variance = vae.open().model.posterior(vae.open().state, scale(images, (0.0, 1.0)))
    np.testing.assert_allclose(means, mean, atol=1e-4)
    noise = (drawn - means) / np.exp(0.5 * np.asarray(log_variance))
    assert ks_distance(noise).max() < 1.9 / np.sqrt(len(means))


def test_means_and_draws_are_chosen_by_the_option(launch, vae, autoencoder, tmp_path, says):
    tables = []
    for sampled in ("true", "false", None):
        (tmp_path / f"{sampled}").mkdir()
        words = () if sampled is None else ("--sampled", sampled)
        tables.append(done(launch, "prior_check", vae, tmp_path / f"{sampled}", *words)[1].splitlines()[1:])
    assert tables[0] == tables[2]
    assert tables[0] != tables[1]
    says(launch("scatter", autoencoder.workdir, "--sampled", "true"), "leave --sampled out")


def test_latent_grid_decodes_the_plane(launch, vae, tmp_path):
    pictures, said = done(launch, "latent_grid", vae, tmp_path, "--side", 5, "--extent", 2)
    assert number(said, "share of the prior that the square holds") == pytest.approx(0.9545**2, abs=1e-3)
    opened = vae.open()
    corner = np.asarray(opened.model.decode(opened.state, np.array([[-2.0, 2.0], [2.0, -2.0]], np.float32)))
    with Image.open(pictures["latent_grid_linear.png"]) as picture:
        shown = np.asarray(picture)[-(5 * 8 + 2 * 18 + 4) :][: 5 * 8, 52 : 52 + 5 * 8, 0]
    np.testing.assert_allclose(shown[:8, :8], 255 * corner[0, ..., 0], atol=1)
    np.testing.assert_allclose(shown[-8:, -8:], 255 * corner[1, ..., 0], atol=1)


def test_latent_grid_by_quantiles_and_in_the_box(launch, vae, autoencoder, faces, tmp_path):
    words = ("--side", 4, "--num", 40)
    said = done(launch, "latent_grid", vae, tmp_path, "--spacing", "quantile", *words)[1]
    assert number(said, "share of the prior that the square holds") == pytest.approx(0.98**2, abs=1e-3)
    assert quantiles(np.array([0.01]))[0] == pytest.approx(-2.326, abs=1e-3)
    (tmp_path / "box").mkdir()
    # Where there is no prior the box is the default.
    assert set(done(launch, "latent_grid", autoencoder, tmp_path / "box", *words)[0]) == {"latent_grid_box.png"}
    assert launch("latent_grid", faces.workdir, "--spacing", "linear", *words, "--out", tmp_path).code == 0


def test_prior_check_says_mean_std_and_ks_of_each_dimension(launch, faces, tmp_path):
    pictures, said = done(launch, "prior_check", faces, tmp_path, "--num", 60)
    assert set(pictures) == {"prior_check.png"}
    table = np.array([line.split() for line in said.splitlines()[3:9]], float)
    codes = encode_data(Coder(faces.open(), tmp_path, 0), "test", 60, sampled=True).codes
    wanted = np.stack([np.arange(6), codes.mean(axis=0), codes.std(axis=0), ks_distance(codes)], axis=1)
    np.testing.assert_allclose(table, wanted, atol=1e-3)


def test_sweep_along_dimensions_and_over_the_prior(launch, vae, autoencoder, dcgan, tmp_path):
    (tmp_path / "one").mkdir()
    pictures, said = done(launch, "sweep", vae, tmp_path / "one", "--dimensions", 1, "--points", 3, "--image", 2)
    assert set(pictures) == {"sweep_dimensions.png"}
    assert number(said, "mean change of a pixel from end to end, z[1]") > 0
    (tmp_path / "prior").mkdir()
    pictures, said = done(launch, "sweep", vae, tmp_path / "prior", "--over", "prior", "--points", 2)
    assert set(pictures) == {"sweep_prior.png"}
    assert [len(line.split()) for line in said.splitlines()[-8:]] == [6] * 8
    (tmp_path / "hidden").mkdir()
    pictures, said = done(launch, "sweep", vae, tmp_path / "hidden", "--over", "hidden", "--points", 2)
    assert set(pictures) == {"sweep_hidden.png"}
    assert launch("sweep", autoencoder.workdir, "--points", 3, "--out", tmp_path).code == 0
    # A model without an encoder has codes to sweep all the same.
    (tmp_path / "gan").mkdir()
    assert set(done(launch, "sweep", dcgan, tmp_path / "gan", "--points", 3)[0]) == {"sweep_dimensions.png"}


def test_a_model_that_is_given_classes_decodes_one_of_them(launch, runs, dcgan, tmp_path, says):
    run = runs("conditional_gan")
    opened, said = run.open(), done(launch, "sweep", run, tmp_path, "--extent", 1e-6, "--points", 10)[1]
    assert max(map(float, re.findall(r"z\[\d+\]\s+(\S+)$", said, re.M))) < 0.05
    coder = Coder(opened, tmp_path, 0, 7)
    codes = coder.draw(3, "codes")
    sevens = np.full(3, 7, np.int32)
    wanted = to_uint8(np.asarray(opened.model.decode(opened.state, codes, sevens)), opened.model.image_range)
    np.testing.assert_allclose(coder.decode(codes).astype(int), wanted, atol=1)
    assert (coder.decode(codes) != Coder(opened, tmp_path, 0, 1).decode(codes)).any()

    words = ("interpolate", run.workdir, "--num", 2, "--points", 3, "--out", tmp_path / "a.npz")
    ends = opened.model.sample_latents(stream_key(0, "interpolate verb"), 4)
    for words_of_classes, classes in (((), [0, 1]), (("--classes", 7), [7, 7])):
        assert launch(*words, *words_of_classes).code == 0
        with np.load(tmp_path / "a.npz") as file:
            rows = file["samples"].reshape(2, 3, *file["samples"].shape[1:]).astype(int)
        for column, latents in ((0, ends[:2]), (2, ends[2:])):
            images = np.asarray(opened.model.decode(opened.state, latents, np.array(classes, np.int32)))
            np.testing.assert_allclose(rows[:, column], to_uint8(images, opened.model.image_range), atol=1)
    says(launch("sweep", run.workdir, "--label", "ten"), "--label: there is no class 'ten'")
    says(launch("sweep", dcgan.workdir, "--label", 1), "dcgan draws images of no class", "leave --label out")


def test_hidden_noise_takes_the_place_of_the_decoders_first_layer(vae, coder):
    """Noise of deviation 0 is a constant, which a projection without kernel, and with that bias, gives too."""
    images, size = decode_hidden_noise(coder, np.ones((3, 2), np.float32), [(0.0, 0.5), (1.0, 0.0)])
    opened = vae.open()
    params = jax.tree.map(lambda x: x, opened.state.networks["decoder"].params)
    params["Dense_0"] = {"kernel": np.zeros((2, size)), "bias": np.full(size, 0.5)}
    decoder = opened.state.networks["decoder"].replace(params=params)
    state = opened.state.replace(networks=opened.state.networks | {"decoder": decoder})
    wanted = to_uint8(np.asarray(opened.model.decode(state, np.zeros((1, 2), np.float32))), (0.0, 1.0))
    np.testing.assert_allclose(images[:3].astype(int), np.repeat(wanted, 3, axis=0), atol=1)
    assert len(np.unique(images[3:], axis=0)) == 3
    linear = SimpleNamespace(decode=lambda state, latents: latents, image_range=(0.0, 1.0))
    other = SimpleNamespace(
        name="mine", seed=0, images_of=linear.decode, run=SimpleNamespace(model=linear, state=state)
    )
    with pytest.raises(UsageError, match="mine begins with no dense layer"):
        decode_hidden_noise(other, np.ones((3, 2), np.float32), [(1.0, 0.0)])


def test_sampled_reconstructions_decode_draws_of_the_posterior(vae, launch, tmp_path):
    words = ("reconstruct", vae.workdir, "--num", 200, "--seed", 3, "--out")
    assert launch(*words, tmp_path / "mean.npz").code == 0
    assert launch(*words, tmp_path / "drawn.npz", "--sampled").code == 0
    mean, drawn = (np.load(tmp_path / f"{name}.npz")["samples"].astype(float) for name in ("mean", "drawn"))
    opened, source = vae.open(), load(vae.open().experiment.data, "test")
    chosen = np.sort(np.random.default_rng(3).choice(len(source), 200, replace=False))
    images = scale(source.take(chosen)["image"], (0.0, 1.0))
    codes = reparameterize(*opened.model.posterior(opened.state, images), stream_key(3, "reconstruct verb"))
    wanted = np.asarray(opened.model.decode(opened.state, codes))
    np.testing.assert_allclose(drawn, 255 * wanted, atol=1)
    assert np.abs(drawn - mean).max() > 1


def test_morph_walks_both_ways_and_back(launch, vae, tmp_path):
    pictures, said = done(launch, "morph", vae, tmp_path, "--start", 0, 3, "--end", 1, 4, "--points", 4)
    assert set(pictures) == {"morph.png", "morph_linear.gif", "morph_slerp.gif"}
    with Image.open(pictures["morph_linear.gif"]) as film:
        assert film.n_frames == 6
    middle = [number(said, f"{name}: length of the middle code / mean of the ends") for name in ("linear", "slerp")]
    assert middle[0] <= middle[1] + 1e-3


def test_attributes_add_a_direction(launch, faces, tmp_path):
    words = ("--names", "hat", "smiling", "--alphas", "-1", "0", "1", "--measured", 10, "--images", 3)
    pictures, said = done(launch, "attributes", faces, tmp_path, *words)
    assert set(pictures) == {"attribute_hat.png", "attribute_smiling.png"}
    assert re.search(r"^hat: \d+ of 128 images, length \d", said, re.M)
    shares = re.findall(r"nearest images.*\+0: (\S+)", said)
    assert len(shares) == len(re.findall(r"read-out  .*\+0: (\S+)", said)) == 4
    assert all(0 <= float(share) <= 1 for share in shares)


def test_a_normalized_direction_has_length_one(launch, vae, tmp_path):
    words = ("--names", 3, "--alphas", "0", "--measured", 4, "--normalize")
    assert "length 1.000" in done(launch, "attributes", vae, tmp_path, *words)[1]


def test_arithmetic_with_attributes_and_with_numbers(launch, faces, dcgan, tmp_path, says):
    groups = ("--first", "hat", "not_smiling", "--minus", "hat", "--plus", "eyeglasses", "--exemplars", 2)
    pictures, said = done(launch, "arithmetic", faces, tmp_path, *groups)
    assert set(pictures) == {"arithmetic.png"}
    for name in ("hat", "smiling", "eyeglasses"):
        assert np.isfinite(number(said, f"{name}: read-out of the first group's mean"))
        assert np.isfinite(number(said, f"{name}: read-out of the result"))
    (tmp_path / "gan").mkdir()
    groups = ("--first", 0, 1, 2, "--minus", 3, 4, 5, "--plus", 6, 7, 8)
    pictures, _ = done(launch, "arithmetic", dcgan, tmp_path / "gan", *groups)
    assert set(pictures) == {"arithmetic.png", "arithmetic_sheet.png"}


def test_pictures_go_where_the_report_finds_them(launch, vae, tmp_path):
    answer = launch("codes", vae.workdir, "--num", 2)
    step = vae.open().step
    assert answer.out.startswith(f"{vae.workdir / 'samples' / f'codes_{step:06d}.png'}\n")
    assert launch("report", vae.workdir).code == 0
    assert f'alt="codes at step {step}"' in (vae.workdir / "report.html").read_text()
    (vae.workdir / "samples" / f"codes_{step:06d}.png").unlink()


def test_mistakes_are_one_sentence(launch, vae, faces, autoencoder, dcgan, runs, tmp_path, says):
    for verb in ("codes", "scatter", "prior_check", "attributes", "morph"):
        says(launch(verb, dcgan.workdir), "dcgan has no encoder")
    says(launch("latent_grid", dcgan.workdir, "--spacing", "box"), "has no encoder")
    says(launch("arithmetic", vae.workdir), "--first is missing")
    says(launch("arithmetic", faces.workdir, "--first", "hut", "--minus", "hat", "--plus", "hat"), "'hat'")
    says(launch("attributes", faces.workdir, "--names", "smilling"), "did you mean 'smiling'?")
    says(launch("sweep", vae.workdir, "--dimensions", 2), "the codes have 0 to 1")
    says(launch("sweep", autoencoder.workdir, "--over", "prior"), "no prior")
    says(launch("morph", vae.workdir, "--start", 99_999), "There is no image 99999")
    says(launch("morph", vae.workdir, "--start", 0, 1), "equally many")
    for verb in ("scatter", "latent_grid", "attributes"):
        says(launch(verb, vae.workdir, "--num", 0), "--num is 0")
    says(launch("arithmetic", vae.workdir, "--num", -3, "--first", 1), "--num is -3")
    says(launch("scatter", autoencoder.workdir, "--draw-from", "prior"), "no prior to draw from")
    says(launch("reconstruct", autoencoder.workdir, "--sampled"), "leave --sampled out")
    says(launch("latent_grid", vae.workdir, "--extent", 0), "--extent is 0")
    says(launch("codes", vae.workdir, "--out", tmp_path / "none"), "There is no folder")


def coded(codes, images, **arrays):
    """Codes that no model made."""
    experiment = SimpleNamespace(data=SimpleNamespace(name="drawings"))
    coder = SimpleNamespace(name="vae", run=SimpleNamespace(experiment=experiment))
    source = ArraySource("drawings", {"image": images, **arrays}, attribute_names=("tall", "kind") if arrays else ())
    return Coded(coder, source, source.arrays, codes, False)


def test_data_without_labels_have_no_attributes():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    found = coded(np.zeros((4, 2)), images)
    assert found.classes == ("images",)
    np.testing.assert_array_equal(found.labels, 0)
    with pytest.raises(UsageError, match="drawings have neither classes nor attributes"):
        flags_of(found, attribute_values(found))


def test_attributes_of_other_images_have_the_same_names():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    known = coded(np.zeros((4, 2)), images, attributes=np.array([[0, 0], [1, 1], [1, 2], [0, 2]]))
    flags = flags_of(known, attribute_values(known))
    assert list(flags) == ["tall", "kind_0", "kind_1", "kind_2"]
    np.testing.assert_array_equal(flags["tall"], [False, True, True, False])
    np.testing.assert_array_equal(flags["kind_2"], [False, False, True, True])
    other = coded(np.zeros((4, 2)), images, attributes=np.array([[0, 0], [0, 2], [0, 2], [0, 3]]))
    flags = flags_of(other, attribute_values(known))
    assert list(flags) == ["tall", "kind_0", "kind_1", "kind_2"]
    np.testing.assert_array_equal(flags["kind_1"], False)
    np.testing.assert_array_equal(flags["kind_2"], [False, True, True, False])


def test_plots_are_of_the_codes_or_of_their_principal_components():
    images, noise = np.zeros((50, 2, 2, 1), np.uint8), np.random.default_rng(0).normal(size=(50, 5))
    with pytest.raises(UsageError, match="have one dimension"):
        in_plane(coded(noise[:, :1], images))
    points, where = in_plane(coded(noise[:, :2], images))
    np.testing.assert_array_equal(points, noise[:, :2])
    assert where == ""
    points, where = in_plane(coded(noise * [0.1, 5, 0.1, 3, 0.1], images))
    np.testing.assert_allclose(np.abs(np.corrcoef(points.T, noise[:, [1, 3]].T)[:2, 2:]), np.eye(2), atol=0.3)
    assert "first two principal components of 5 dimensions" in where
