"""What presets of autoencoders build, against the tables of the texts, and the networks that features are of."""

from __future__ import annotations

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.families.autoencoders import ConvVAE, PlainAutoencoder
from experiments.families.coders import ARCHITECTURES
from experiments.families.face_autoencoders import DeepFeatureVAE, FaceVAE
from gdl_jax.data.source import ArraySpec, DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import DiscretisedLogistic, Gaussian
from gdl_jax.models.autoencoder import DenoisingAutoencoder
from gdl_jax.networks.conv_autoencoder import WithScale
from gdl_jax.networks.summary import count
from gdl_jax.steps.optimizers import Optimizer
from gdl_jax.training.program import abstract_batch

STORED = {"mnist": (28, 1), "fashion_mnist": (28, 1), "cifar10": (32, 3), "celeb_a": (218, 3), "faces": (64, 3)}
"""Side and channels of the images."""

KEY = jax.random.key(0)


def data_of(side, channels):
    return DataSpec({"image": ArraySpec((side, side, channels), np.dtype(np.uint8))}, (), 1000)


def built(settings):
    """The model for a preset's data, its state as shapes, and a batch."""
    side, channels = STORED[settings.data.name]
    data = data_of(settings.data.size or side, settings.data.channels or channels)
    model = settings.build(data)
    batch = abstract_batch(data.arrays, 4, model)
    return model, jax.eval_shape(model.init, KEY, batch), batch


def counts(state):
    return tuple(count(state.networks[name].params) for name in ("encoder", "decoder"))


def dense(*sizes):
    return sum(a * b + b for a, b in itertools.pairwise(sizes))


JIANG = (320 + 18_496 + dense(3136, 32, 32), dense(32, 3136) + 36_928 + 18_464 + 289)
POOLING = (160 + 1160 + dense(392, 32), dense(32, 392) + 584 + 1168 + 145)

AUTOENCODERS = {
    "paper": (dense(784, 1000, 500, 250, 30), dense(30, 250, 500, 1000, 784)),
    "jiang_dense": (dense(784, 1000, 500, 250, 2), dense(2, 250, 500, 1000, 784)),
    "jiang_l2": (dense(784, 1000, 500, 250, 10), dense(10, 250, 500, 1000, 784)),
    "jiang_pooling": POOLING,
    "jiang_switches": POOLING,
    "jiang_strided": JIANG,
    "jiang_denoising": JIANG,
    "jiang_denoising_dense": (dense(784, 500), dense(500, 784)),
    "foster": (98_946, 102_017),
    "lanham_dense": (109_555, 110_336),
    "lanham": (1_028, 467),
}


@pytest.mark.parametrize("preset", AUTOENCODERS)
def test_autoencoders_of_the_texts(preset):
    model, state, batch = built(PlainAutoencoder.presets()[preset])
    assert counts(state) == AUTOENCODERS[preset]
    decoded = jax.eval_shape(model.reconstruct, state, batch["image"])
    assert decoded.shape == batch["image"].shape
    assert model.image_range == ((-1, 1) if preset == "lanham_dense" else (0, 1))
    assert (model.reduce == "mean") == preset.startswith(("foster", "lanham"))
    assert isinstance(model, DenoisingAutoencoder) == ("denoising" in preset)
    assert (model.code_penalty > 0) == (preset == "jiang_l2")


def test_every_preset_of_the_autoencoder_is_counted():
    assert set(AUTOENCODERS) | {"smoke"} == set(PlainAutoencoder.presets())


def test_jiangs_strided_autoencoder_is_the_encoder_of_the_vae_with_one_head():
    settings = PlainAutoencoder()
    model = settings.build(data_of(28, 1))
    state = jax.eval_shape(model.init, KEY, abstract_batch(data_of(28, 1).arrays, 4, model))
    assert counts(state) == (69_076 - 34, 65_089)


def test_the_weight_penalty_is_part_of_the_gradient():
    """Of Adam's rule, not beside it: Lanham's L2 of 1e-5 moves a parameter without gradient by the learning rate."""
    model = PlainAutoencoder(weight_penalty=1e-5, optimizer=Optimizer(learning_rate=0.1)).build(data_of(28, 1))
    params = {"kernel": jnp.array([[2.0, -3.0]])}
    # Optax raises float32 decays to int32 powers.
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = model.optimizer.update(jax.tree.map(jnp.zeros_like, params), model.optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [[-0.1, 0.1]], rtol=1e-2)


@pytest.mark.parametrize("preset", ["paper", "foster"])
def test_fosters_faces(preset):
    model, state, _ = built(FaceVAE.presets()[preset])
    scale = 3 if preset == "paper" else 0
    assert counts(state) == (1_732_496, 916_803 + scale)
    assert [count(state.networks[name].collections) for name in ("encoder", "decoder")] == [448, 320]
    assert model.latent_size == 200


def test_hous_faces():
    """The sizes of the paper's figure 2: 4x4 convolutions of 32 to 256 channels, and 3x3 ones of 128 to 3."""
    _, state, _ = built(DeepFeatureVAE())
    norms = 2 * (32 + 64 + 128 + 256), 2 * (128 + 64 + 32)
    encoder = 1_568 + 32_832 + 131_200 + 524_544 + 2 * dense(4096, 100) + norms[0]
    decoder = dense(100, 4096) + 295_040 + 73_792 + 18_464 + 867 + norms[1]
    assert counts(state) == (encoder, decoder)


def test_hous_larger_faces():
    """The sizes of the authors' code: a fifth convolution of 256 channels, and 512 in the smallest image."""
    model, state, _ = built(DeepFeatureVAE(architecture="hou_128", data=DataSettings(name="faces", size=128)))
    norms = 2 * (32 + 64 + 128 + 256 + 256), 2 * (256 + 128 + 64 + 32)
    encoder = 1_568 + 32_832 + 131_200 + 524_544 + 1_048_832 + 2 * dense(4096, 100) + norms[0]
    decoder = dense(100, 8192) + 1_179_904 + 295_040 + 73_792 + 18_464 + 867 + norms[1]
    assert counts(state) == (encoder, decoder)
    assert not model.encoder.activate_last
    paper = DeepFeatureVAE.presets()["hou_128"]
    assert (paper.architecture, paper.data.size, paper.batch_size) == ("hou_128", 128, 40)


@pytest.mark.parametrize("likelihood", ["gaussian", "discretised_logistic"])
@pytest.mark.parametrize("scale", ["shared", "pixel", "fixed"])
def test_scales_of_a_likelihood(likelihood, scale):
    data = data_of(8, 3)
    model = ConvVAE(likelihood=likelihood, scale=scale, fixed_scale=0.2).build(data)
    kind = {"gaussian": Gaussian, "discretised_logistic": DiscretisedLogistic}[likelihood]
    assert model.likelihood == kind(0.2 if scale == "fixed" else None)
    assert isinstance(model.decoder, WithScale) == (scale == "shared")
    state = jax.eval_shape(model.init, KEY, abstract_batch(data.arrays, 4, model))
    plain = ConvVAE().build(data)
    more = counts(state)[1] - counts(jax.eval_shape(plain.init, KEY, abstract_batch(data.arrays, 4, plain)))[1]
    # One number per colour, or one more output per colour of the last 3x3 convolution.
    assert more == {"shared": 3, "pixel": 3 * (9 * 32 + 1), "fixed": 0}[scale]
    images = jax.eval_shape(lambda s: model.sample(s, KEY, 5), state)
    assert images.shape == (5, 8, 8, 3)


def test_a_learned_scale_begins_where_it_is_told_and_is_learned():
    data = data_of(8, 1)
    model = ConvVAE(likelihood="gaussian").build(data)
    x = jax.random.uniform(KEY, (4, 8, 8, 1))

    @jax.jit
    def run(x):
        state = model.init(KEY, {"image": x})
        return state, model.step(state, {"image": x[None]}, KEY)[0]

    before, after = (state.networks["decoder"].params["log_scale"] for state in run(x))
    np.testing.assert_allclose(before, [np.log(0.3)], rtol=1e-6)
    assert before != after


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sizes_that_networks_do_not_make_are_refused_with_one_that_they_do(name):
    of_vaes = {"lanham_vae", "hou", "hou_128", "kingma", "faces", "foster_faces"}
    settings = (ConvVAE if name in of_vaes else PlainAutoencoder)(architecture=name)
    divisor = ARCHITECTURES[name][1]
    settings.build(data_of(64, 3))
    if divisor == 1:
        settings.build(data_of(7, 3))
        return
    with pytest.raises(UsageError, match=r"set --data.size to 64"):
        settings.build(data_of(63, 3))


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("vae", "--kl-weight", "-1"), "--kl-weight is -1.0"),
        (("vae", "--free-bits", "nan"), "--free-bits is nan"),
        (("vae", "--fixed-scale", "0"), "--fixed-scale is 0.0"),
        (("vae", "--importance-samples", "0"), "--importance-samples is 0"),
        (("vae", "--importance-samples", "5", "--free-bits", "0.1"), "no KL term"),
        (("autoencoder", "--code-penalty", "-1"), "--code-penalty is -1.0"),
        (("autoencoder", "--corruption", "masking", "--corruption-amount", "2"), "a share has to be from 0 to 1"),
        (("autoencoder", "--corruption", "blur"), "--corruption"),
        (("autoencoder", "--architecture", "lanham_dense", "--loss", "cross_entropy"), "in [0, 1]"),
        (("dfc_vae", "--features", "nowhere"), "python -m experiments.run classifier"),
        (("dfc_vae", "--features", "nowhere.npz"), "torchvision.models.vgg19"),
    ],
)
def test_mistakes(launch, says, tmp_path, words, fragment):
    name, *rest = words
    says(launch(name, "--preset", "smoke", "--workdir", tmp_path / "run", *rest), fragment)


# What is shown and said


@pytest.mark.parametrize(
    ("name", "measure", "words"),
    [("vae", "test/elbo", "cross-entropy of Bernoullis"), ("dfc_vae", "test/feature_error", "random weights")],
)
def test_evaluate_says_how_it_measured(runs, launch, name, measure, words):
    found = json.loads(launch("evaluate", runs(name).workdir, "--json").out)
    assert words in found["protocol"][measure]
    assert measure in found["metrics"]


# Features


def test_features_of_a_classifiers_run_and_of_its_export(launch, runs, says, tmp_path):
    """The frozen network of the state is the classifier's, whether it is read from the run or from the export."""
    classifier = runs("classifier")
    export = tmp_path / "classifier.npz"
    assert launch("export", classifier.workdir, "--out", export).code == 0
    wanted = classifier.open().state.networks["classifier"]
    x = jax.random.uniform(KEY, (4, 8, 8, 1))
    for features in (classifier.workdir, export):
        network = DeepFeatureVAE(architecture="jiang", features=str(features)).build(data_of(8, 1)).features
        jax.tree.map(np.testing.assert_array_equal, network.load(), wanted.variables())
        maps = jax.eval_shape(network.apply, network.load(), x)
        assert [m.shape[:3] for m in maps] == [(4, 8, 8), (4, 4, 4), (4, 4, 4), (4, 2, 2)]
    answer = launch("dfc_vae", "--preset", "smoke", "--workdir", tmp_path / "run", "--features", classifier.workdir)
    says(answer, "sees images of 8x8x1, and these are 16x16x3", "--data.size 16")


def test_features_of_what_is_no_classifier(vae, says, launch, tmp_path):
    answer = launch("dfc_vae", "--preset", "smoke", "--workdir", tmp_path / "run", "--features", vae.workdir)
    says(answer, "is no run of a convolutional classifier")


def test_a_cnns_maps_are_those_before_its_pooling():
    """Against the layers, one by one: convolution, norm, ReLU, for pixels in the network's own range."""
    from experiments.feature_networks import cnn_maps
    from gdl_jax.layers.convolution import Conv
    from gdl_jax.networks.cnn import CNN, Block

    network = CNN(3, (Block(4, pool=2), Block(6)))
    x = jax.random.uniform(KEY, (2, 8, 8, 1))
    variables = network.init(KEY, x, train=False)
    first, second = cnn_maps(network, (-1.0, 1.0), variables, x)
    layers = [Conv(width, (3, 3)) for width in (4, 6)]
    params = [{"params": variables["params"][f"Conv_{i}"]} for i in (0, 1)]
    wanted = jax.nn.relu(layers[0].apply(params[0], 2 * x - 1))
    np.testing.assert_allclose(first, wanted, atol=1e-6)
    pooled = wanted.reshape(2, 4, 2, 4, 2, 4).max((2, 4))
    np.testing.assert_allclose(second, jax.nn.relu(layers[1].apply(params[1], pooled)), atol=1e-5)
