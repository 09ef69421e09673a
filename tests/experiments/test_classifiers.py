"""The classifier's presets against the tables of the texts, its pictures, and its features as a metric's."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.families.classifiers import ARCHITECTURES, ImageClassifier
from experiments.verbs.evaluation import open_features
from experiments.verbs.opening import open_export
from gdl_jax.data.source import ArraySpec, DataSettings, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale
from gdl_jax.errors import UsageError
from gdl_jax.metrics.features import fitted
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.networks.summary import count
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.random import stream_key
from gdl_jax.training.export import digest, variables
from gdl_jax.training.program import abstract_batch, make_sampler

STORED = {"digits": (28, 1), "mnist": (28, 1), "fashion_mnist": (28, 1), "cifar10": (32, 3)}

# preset: trained numbers, batch norm's statistics, range of the pixels, width of the features
WANTED = {
    "foster_dense": (646_260, 0, (0.0, 1.0), 150),
    "foster_strided": (15_120, 0, (0.0, 1.0), 1280),
    "foster": (591_914, 640, (0.0, 1.0), 128),
    "lanham_mlp": (523_326, 0, (-0.5, 0.5), 256),
    "lanham": (1_199_882, 0, (-0.5, 0.5), 128),
    "lanham_resnet": (12_126, 2 * (8 + 16 + 32 + 16 + 10), (-1.0, 1.0), 16),
    # The text's network, and the first block's projection with its norm.
    "two_blocks": (12_126 + 32 + 32, 2 * (8 + 16 + 16 + 32 + 16 + 10), (-1.0, 1.0), 16),
    "valle": (101_770, 0, (-1.0, 1.0), 128),
    # By hand: convolutions 160, 2320, 4640, 9248 (28x28, 14x14, 14x14, 7x7), dense layers 100,416 and 650, norms 320.
    "mnist": (117_754, 320, (-1.0, 1.0), 64),
    "fashion_mnist": (117_754, 320, (-1.0, 1.0), 64),
    "cifar10": (591_914, 640, (-1.0, 1.0), 128),
    "paper": (269_722, 2 * (7 * 16 + 6 * 32 + 6 * 64), (-1.0, 1.0), 64),
}


def data_of(settings, shape=None, classes=tuple("0123456789")) -> DataSpec:
    side, channels = STORED[settings.data.name]
    image = ArraySpec(shape or (settings.data.size or side, settings.data.size or side, channels), np.dtype(np.uint8))
    return DataSpec({"image": image, "label": ArraySpec((), np.dtype(np.int32))}, classes, 1000)


@pytest.mark.parametrize("preset", WANTED)
def test_what_a_preset_builds(preset):
    trained, statistics, image_range, width = WANTED[preset]
    settings = ImageClassifier.presets()[preset]
    data = data_of(settings)
    model = settings.build(data)
    batch = abstract_batch(data.arrays, 4, model)
    state = jax.eval_shape(model.init, jax.random.key(0), batch)
    network = state.networks["classifier"]
    assert (count(network.params), count(network.collections)) == (trained, statistics)
    assert model.image_range == image_range
    assert jax.eval_shape(model.classify, state, batch["image"]).shape == (4, 10)
    assert jax.eval_shape(model.features, state, batch["image"]).shape == (4, width)


def test_every_preset_but_the_smoke_test_is_counted_here():
    assert set(ImageClassifier.presets()) - {"smoke"} == set(WANTED)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_number_of_classes_and_odd_sizes(architecture):
    settings = ImageClassifier(architecture=architecture, dtype="bfloat16")
    data = data_of(settings, (13, 9, 1), ("cat", "dog", "frog"))
    model = settings.build(data)
    batch = abstract_batch(data.arrays, 4, model)
    state = jax.eval_shape(model.init, jax.random.key(0), batch)
    scores = jax.eval_shape(model.classify, state, batch["image"])
    assert (scores.shape, scores.dtype) == ((4, 3), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}


@pytest.mark.parametrize(
    ("settings", "shape", "classes", "sentence"),
    [
        (ImageClassifier(), (8, 8, 1), (), "The images of 'digits' have no classes to learn; take others"),
        (ImageClassifier(architecture="lanham"), (8, 5, 1), ("a", "b"), "6x6 pixels or more; set --data.size."),
        (ImageClassifier(architecture="lanham_resnet"), (8, 8, 3), ("a", "b"), "set --data.channels 1."),
    ],
)
def test_data_that_it_cannot_take(settings, shape, classes, sentence):
    with pytest.raises(UsageError) as caught:
        settings.build(data_of(settings, shape, classes))
    assert sentence in str(caught.value)


def test_impossible_settings():
    with pytest.raises(UsageError, match="--label-smoothing is 1"):
        ImageClassifier(label_smoothing=1.0)
    with pytest.raises(UsageError, match="--crop-padding is -1"):
        ImageClassifier(crop_padding=-1)


@pytest.fixture
def classifier(runs):
    return runs("classifier")


@pytest.fixture
def exported(classifier, launch, tmp_path):
    answer = launch("export", classifier.workdir, "--out", tmp_path / "classifier.npz")
    assert (answer.code, answer.err) == (0, "")
    return tmp_path / "classifier.npz"


def test_pictures_of_a_run(classifier):
    for name in ("predictions", "confusion"):
        for step in (0, 10, 20):
            with Image.open(classifier.workdir / "samples" / f"{name}_{step:06d}.png") as picture:
                assert picture.mode == "RGB"
                assert len(picture.getcolors(100_000)) > 10


def test_an_export_is_the_network_of_the_run(classifier, exported):
    opened, there = classifier.open(), open_export(exported)
    assert digest(variables(opened.state)) == digest(variables(there.state)) == there.saved["digest"]
    assert there.step == opened.step == 20
    assert there.experiment == opened.experiment
    images = load(DataSettings(size=8), "test").take(np.arange(9))["image"]
    of_run, of_file = open_features(classifier.workdir), open_features(exported)
    assert of_run.name == of_file.name == f"classifier_{there.saved['digest'][:8]}"
    assert of_run.description == of_file.description
    wanted = opened.model.features(opened.state, scale(images, opened.model.image_range))
    np.testing.assert_allclose(of_file.of(images), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(of_file.of(images), of_run.of(images))


def test_evaluate_with_features_takes_the_frechet_distance_of_them(classifier, exported, dcgan, launch):
    answer = launch("evaluate", dcgan.workdir, "--features", exported, "--json")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    features = open_features(exported)
    name = f"test/frechet_{features.name}"
    assert set(found["metrics"]) == set(found["protocol"]) == {
        "test/frechet_pixels", "test/frechet_pixels_of_training_images", name, f"{name}_of_training_images",
    }  # fmt: skip
    for words in (
        "296 samples",
        "296 test images",
        features.description,
        "made 8x8x1 (bicubic",
        "CNN, 20 steps on digits",
    ):
        assert words in found["protocol"][name]
    again = launch("evaluate", dcgan.workdir, "--features", classifier.workdir, "--json")
    assert json.loads(again.out)["metrics"] == pytest.approx(found["metrics"], rel=1e-6)

    # By hand, with the model itself.
    opened, network = dcgan.open(), classifier.open()
    draw = make_sampler(opened.model, make_mesh(jax.devices()[:1]))
    drawn = draw(opened.state, stream_key(0, "evaluate samples"), 296)
    test = load(DataSettings(size=16), "test").take(np.arange(296))["image"]

    def of(images):
        x = scale(fitted(images, (8, 8, 1)), network.model.image_range)
        return moments(np.asarray(network.model.features(network.state, x)))

    assert found["metrics"][name] == pytest.approx(frechet_distance(of(drawn), of(test)), rel=1e-3)


def test_features_that_are_none(dcgan, classifier, launch, says, tmp_path):
    says(launch("evaluate", dcgan.workdir, "--features", dcgan.workdir), "is of 'dcgan'; --features takes the run or")
    (tmp_path / "text.npz").write_text("hello")
    answer = launch("evaluate", dcgan.workdir, "--features", tmp_path / "text.npz")
    says(answer, "text.npz holds no arrays that can be read")
    says(launch("evaluate", dcgan.workdir, "--features", tmp_path / "none"), "There is no run and no file")
    says(launch("evaluate", dcgan.workdir, "--features", "mnits"), "did you mean 'mnist'?")
    says(launch("evaluate", classifier.workdir, "--features", classifier.workdir), "classifier draws no images")


def test_evaluate_of_a_classifier(classifier, launch):
    found = json.loads(launch("evaluate", classifier.workdir, "--json").out)
    assert set(found["metrics"]) == {"test/accuracy", "test/cross_entropy"}
    assert found["protocol"] == {}
    logged = [line for line in classifier.lines if "evaluation" in line][-1]["evaluation"]
    assert found["metrics"] == pytest.approx(logged, rel=1e-4)
