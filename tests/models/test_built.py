"""The models that the presets build, against the tables of the texts, by `jax.eval_shape`."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.families.autoencoders import ConvVAE
from experiments.families.conditional_gans import BoundarySeekingGAN, ConditionalGAN
from experiments.families.free_gan import FreeGAN
from experiments.families.gan_architectures import ARCHITECTURES
from experiments.families.gans import DCGAN, WGANGP
from gdl_jax.data.source import ArraySpec, DataSettings, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale
from gdl_jax.errors import UsageError
from gdl_jax.models.model import (
    Averages,
    Describes,
    Evaluates,
    LatentModel,
    Model,
    NamesSamplers,
    Phased,
    Recalibrates,
    Reconstructs,
    SamplesClasses,
)
from gdl_jax.networks.summary import count
from gdl_jax.training.program import abstract_batch

STORED = {"mnist": (28, 1), "fashion_mnist": (28, 1), "cifar10": (32, 3), "celeb_a": (218, 3), "digits": (28, 1)}
"""Side and channels of the images."""


def data_of(experiment) -> DataSpec:
    side, channels = STORED[experiment.data.name]
    side, channels = experiment.data.size or side, experiment.data.channels or channels
    arrays = {
        "image": ArraySpec((side, side, channels), np.dtype(np.uint8)),
        "label": ArraySpec((), np.dtype(np.int32)),
    }
    return DataSpec(arrays, tuple("0123456789"), 1000)


def state_of(model, data: DataSpec):
    return jax.eval_shape(model.init, jax.random.key(0), abstract_batch(data.arrays, 4, model))


# experiment, preset: trained numbers of each network, its batch norms' running statistics, latent size.
# J21 has no counts in its text; these are by hand from its table (see tests/networks/test_dcgan.py). Statistics are two
# per channel that is normalised: J21 2 (1024 + 512 + 256 + 128), its discriminator without the first layer. S17 gives
# them (4,516,739 - 4,514,819), and F21, F25, F27 (17,280: its first norm is per unit). LA11 and LA19 do not count
# theirs. F21, F25, J14, LA10, LA19 to LA23 and the residual networks of S37 are counted in the texts; at 64x64, of
# SNGAN and of the discrete GAN by hand.
WANTED = {
    (DCGAN, "paper"): ({"generator": 18_872_323, "discriminator": 17_234_689}, (3840, 3584), 100),
    (DCGAN, "valle"): ({"generator": 4_514_819, "discriminator": 4_310_401}, (1920, 1792), 100),
    (DCGAN, "lanham"): ({"generator": 3_576_704, "discriminator": 2_765_568}, (1920, 1792), 100),
    (DCGAN, "lanham_upsampling"): ({"generator": 1_049_985, "discriminator": 98_113}, (640, 448), 100),
    (WGANGP, "paper"): ({"generator": 5_150_723, "discriminator": 4_314_753}, (17_280, 0), 100),
    (WGANGP, "foster"): ({"generator": 5_150_723, "discriminator": 4_314_753}, (17_280, 0), 100),
    (FreeGAN, "paper"): ({"generator": 1_486_352, "discriminator": 1_460_225}, (0, 0), 100),
    (FreeGAN, "lanham_dense"): ({"generator": 1_493_520, "discriminator": 1_460_225}, (0, 0), 128),
    (FreeGAN, "ganimals"): ({"generator": 837_377, "discriminator": 720_833}, (6784, 0), 100),
    (FreeGAN, "foster_wgan"): ({"generator": 879_619, "discriminator": 670_401}, (4544, 0), 100),
    (FreeGAN, "jiang"): ({"generator": 3_979_651, "discriminator": 404_801}, (0, 0), 128),
    (FreeGAN, "lanham_wgan"): ({"generator": 1_756_032, "discriminator": 656_385}, (3584, 0), 100),
    (FreeGAN, "lanham_boundary"): ({"generator": 1_756_032, "discriminator": 656_385}, (3584, 0), 100),
    (FreeGAN, "lanham_relativistic"): ({"generator": 1_049_985, "discriminator": 98_113}, (640, 448), 100),
    # Without the norms, whose place 16 + 32 + 64 + 128 + 1 numbers of the spectral norms take.
    (FreeGAN, "lanham_lipschitz"): ({"generator": 1_049_985, "discriminator": 98_113 - 448}, (640, 241), 100),
    (FreeGAN, "valle_lsgan"): ({"generator": 4_514_819, "discriminator": 4_310_401}, (1920, 1792), 100),
    (FreeGAN, "valle_wgan"): ({"generator": 340_099, "discriminator": 264_769}, (896, 0), 100),
    (FreeGAN, "valle_wgan_gp"): ({"generator": 1_204_483, "discriminator": 1_053_825}, (1792, 0), 128),
    (FreeGAN, "gulrajani"): ({"generator": 1_204_483, "discriminator": 1_053_825}, (1792, 0), 128),
    (FreeGAN, "valle_relativistic"): ({"generator": 1_147_139, "discriminator": 1_053_825}, (1792, 0), 100),
    (FreeGAN, "valle_digits"): ({"generator": 840_321, "discriminator": 213_121}, (384, 256), 100),
    (FreeGAN, "drift"): ({"generator": 1_204_483, "discriminator": 1_053_825}, (1792, 0), 128),
    (FreeGAN, "sngan"): ({"generator": 4_276_739, "discriminator": 1_053_825}, (3584, 1281), 128),
    # Layer norm twice in every block, of as many channels as go in; 960 in all, and as many biases that it replaces.
    (FreeGAN, "resnet_64"): ({"generator": 8_541_443, "discriminator": 7_488_961 + 4 * 960 - 960}, (4864, 0), 128),
    (FreeGAN, "sngan_64"): ({"generator": 12_220_675, "discriminator": 10_141_441}, (5888, 4993), 128),
    (ConditionalGAN, "paper"): ({"generator": 1_511_412, "discriminator": 932_965}, (3584, 0), 100),
    (ConditionalGAN, "lanham"): ({"generator": 1_757_412, "discriminator": 1_055_845}, (3584, 0), 100),
    (ConditionalGAN, "convolutional"): (
        {"generator": 1_049_985 + 100 + 10 * 8192, "discriminator": 98_113 + 10 * 1024 + 9 * 16},
        (640, 448),
        100,
    ),
    (ConditionalGAN, "auxiliary"): (
        {"generator": 4_514_819 + 100 + 20 * 2048, "discriminator": 4_310_401 + 2049 * 10},
        (1920, 1792),
        110,
    ),
    # A scale and a bias for each of ten classes, but in the last norm; a head for ten classes, or ten vectors.
    (ConditionalGAN, "wgan_gp"): (
        {"generator": 1_204_483 + 9 * (1792 - 256), "discriminator": 1_053_825 + 129 * 10},
        (1792, 0),
        128,
    ),
    (ConditionalGAN, "sngan"): (
        {"generator": 4_276_739 + 9 * (3584 - 512), "discriminator": 1_053_825 + 1280},
        (3584, 1281 + 128),
        128,
    ),
    (BoundarySeekingGAN, "paper"): ({"generator": 614_145, "discriminator": 212_865}, (0, 0), 64),
    (ConvVAE, "paper"): ({"encoder": 69_076, "decoder": 65_089}, (0, 0), 2),
    (ConvVAE, "jiang"): ({"encoder": 69_076, "decoder": 65_089}, (0, 0), 2),
    (ConvVAE, "foster"): ({"encoder": 105_220, "decoder": 102_017}, (0, 0), 2),
    (ConvVAE, "lanham"): ({"encoder": 690_144 + 2 * 32_800, "decoder": 3_592_803}, (0, 0), 32),
    (ConvVAE, "valle"): ({"encoder": 412_540, "decoder": 403_284}, (0, 0), 20),
    (ConvVAE, "dense"): ({"encoder": 402_240, "decoder": 398_984}, (0, 0), 20),
}


@pytest.mark.parametrize(("experiment", "preset"), WANTED)
def test_parameter_counts_of_the_texts(experiment, preset):
    trained, statistics, latent = WANTED[experiment, preset]
    settings = experiment.presets()[preset]
    data = data_of(settings)
    model = settings.build(data)
    state = state_of(model, data)
    assert {name: count(network.params) for name, network in state.networks.items()} == trained
    found = {name: count(network.collections) for name, network in state.networks.items()}
    assert found == dict(zip(trained, statistics, strict=True))
    assert model.latent_size == latent


def test_every_preset_but_the_smoke_test_is_counted_here():
    known = {(e, name) for e in {e for e, _ in WANTED} for name in e.presets() if name != "smoke"}
    assert known == set(WANTED)


def test_settings_reach_the_model():
    experiment = FreeGAN.presets()["valle_wgan"]
    due = experiment.build(data_of(experiment)).generator_due
    assert np.flatnonzero([bool(due(jnp.int32(step))) for step in range(61)]).tolist() == [19, 39, 59]
    assert FreeGAN().build(data_of(FreeGAN())).generator_due is None
    pearson = FreeGAN(loss="least_squares", targets=(-1.0, 1.0, 0.0))
    loss = pearson.build(data_of(pearson)).loss
    assert loss.discriminator(jnp.ones(2), -jnp.ones(2)) == 0
    assert loss.generator(jnp.ones(2), jnp.zeros(2)) == 0
    few = FreeGAN(wanted=("3", "8"), loss="wasserstein", instance_norm=True, penalty="gradient", generator_dropout=0.5)
    model = few.build(data_of(few))
    assert model.wanted == (3, 8)
    assert model.generator.dropout_rate == 0.5
    tuned = FreeGAN(discriminator_dropout=0.1, discriminator_activation="relu", downsampling="average_pool", kernel=6)
    model = tuned.build(data_of(tuned))
    judge = model.discriminator
    assert (judge.dropout_rate, judge.activation, judge.downsampling) == (0.1, nn.relu, "average_pool")
    assert model.generator.kernels == judge.kernels == (6, 6)
    assert (
        FreeGAN(architecture="dense", discriminator_dropout=0.0).build(data_of(FreeGAN())).discriminator.dropout_rates
        == (0.0,) * 3
    )
    assert FreeGAN(architecture="jiang", kernel=2).build(data_of(FreeGAN())).generator.kernels == (2, 2, 2, 5)
    watched = FreeGAN(monitor_slope=True)
    assert isinstance(watched.build(data_of(watched)), Evaluates)
    balanced = FreeGAN(reweighted=True)
    model = balanced.build(data_of(balanced))
    images = load(balanced.data, "test").take(np.arange(200))
    said = np.asarray(model.classify(scale(images["image"], model.image_range))).argmax(axis=1)
    assert (said == images["label"]).mean() > 0.95
    for settings in (
        FreeGAN(reweighted=True, wanted=("3",)),
        FreeGAN(reweighted=True, data=DataSettings(name="celeb_a", size=16)),
    ):
        with pytest.raises(UsageError, match="--reweighted"):
            settings.build(data_of(settings))
    some = ConditionalGAN(data=DataSettings(size=16, classes=("8", "3")))
    assert some.build(data_of(some)).drawn_classes == (3, 8)


def test_no_critic_with_a_penalty_on_its_slope_mixes_images():
    for name, (_, divisor) in ARCHITECTURES.items():
        size = 4 * max(4, divisor)
        settings = WGANGP(architecture=name, width=4, latent_size=3, data=DataSettings(size=size))
        state = state_of(settings.build(data_of(settings)), data_of(settings))
        assert "batch_stats" not in state.networks["discriminator"].collections, name
    for penalty in ("gradient", "one_sided_gradient", "dragan", "r1", "r2"):
        settings = FreeGAN(penalty=penalty)
        with pytest.raises(UsageError, match="set --discriminator-norm False"):
            settings.build(data_of(settings))
    for settings in (
        FreeGAN(architecture="dense", instance_norm=True),
        FreeGAN(architecture="resnet", instance_norm=True),
        FreeGAN(architecture="resnet", generator_dropout=0.5),
        FreeGAN(architecture="resnet", kernel=4),
        FreeGAN(architecture="dense", downsampling="max_pool"),
    ):
        with pytest.raises(UsageError, match=f"The {settings.architecture} networks cannot take"):
            settings.build(data_of(settings))
    settings = FreeGAN(architecture="dense", minibatch_features=3, penalty="r1")
    with pytest.raises(UsageError, match="leave --minibatch-features at 0"):
        settings.build(data_of(settings))


@pytest.mark.parametrize("experiment", [DCGAN, WGANGP, ConvVAE])
def test_what_a_preset_builds_is_a_model_that_keeps_the_data_s_shape(experiment):
    key = jax.random.key(0)
    for settings in (experiment(), experiment.presets()["smoke"], experiment.presets()["paper"]):
        data = data_of(settings)
        model = settings.build(data)
        assert isinstance(model, Model)
        assert isinstance(model, LatentModel)
        assert isinstance(model, Evaluates) == isinstance(model, Reconstructs) == (experiment is ConvVAE)
        assert isinstance(model, Describes) == (experiment is ConvVAE)
        assert isinstance(model, NamesSamplers)
        assert isinstance(model, Phased)
        for of_gans in (SamplesClasses, Averages, Recalibrates):
            assert isinstance(model, of_gans) != (experiment is ConvVAE)
        state = state_of(model, data)
        assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
        images = jax.eval_shape(lambda s, model=model: model.sample(s, key, 3), state)
        assert images.shape == (3, *data.image_shape)
        assert images.dtype == jnp.float32
        batch = abstract_batch(data.arrays, 4, model)
        batches = {k: jax.ShapeDtypeStruct((model.batches_per_step, *v.shape), v.dtype) for k, v in batch.items()}
        stepped, _ = jax.eval_shape(model.step, state, batches, key)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), stepped) == jax.tree.map(lambda x: (x.shape, x.dtype), state)


@pytest.mark.parametrize("experiment", [DCGAN, ConvVAE])
def test_bfloat16_computes_but_keeps_nothing(experiment):
    settings = experiment(dtype="bfloat16")
    data = data_of(settings)
    model = settings.build(data)
    state = state_of(model, data)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
    batch = abstract_batch(data.arrays, 4, model)
    batches = {k: jax.ShapeDtypeStruct((1, *v.shape), v.dtype) for k, v in batch.items()}
    jaxpr = str(jax.make_jaxpr(model.step)(state, batches, jax.random.key(0)))
    assert "bf16[4," in jaxpr
    stepped, metrics = jax.eval_shape(model.step, state, batches, jax.random.key(0))
    assert jax.tree.map(lambda x: x.dtype, stepped) == jax.tree.map(lambda x: x.dtype, state)
    assert {mean.total.dtype for mean in metrics.means.values()} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("settings", "shape", "sentence"),
    [
        (DCGAN(), (18, 18, 1), "set --data.size to 16"),
        (DCGAN(), (16, 20, 1), "set --data.size to 16"),
        (
            DCGAN(architecture="radford"),
            (28, 28, 1),
            "a side that 16 divides, and these are 28x28; set --data.size to 32",
        ),
        (ConvVAE(), (30, 30, 1), "set --data.size to 32"),
        (ConvVAE(), (1, 1, 1), "set --data.size to 4"),
    ],
)
def test_sizes_that_the_networks_cannot_make_are_refused_with_the_next_one(settings, shape, sentence):
    data = DataSpec({"image": ArraySpec(shape, np.dtype(np.uint8))}, (), 10)
    with pytest.raises(UsageError) as caught:
        settings.build(data)
    assert sentence in str(caught.value)
