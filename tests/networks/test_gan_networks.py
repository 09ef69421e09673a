"""Networks of GANs: what their parts do. The parameter counts of presets are in tests/models/test_built.py."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.families.gan_architectures import ARCHITECTURES
from gdl_jax.layers.normalisation import ConditionalBatchNorm, LayerNorm
from gdl_jax.networks.conditional import (
    AuxiliaryDiscriminator,
    LabelledDiscriminator,
    LabelledGenerator,
    ProjectionDiscriminator,
)
from gdl_jax.networks.dcgan import Discriminator
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.networks.resnet_gan import DownBlock, ResNetGenerator, UpBlock, mean_pool
from gdl_jax.networks.resnet_translation import ResNetJudge, ResNetTranslator
from gdl_jax.networks.summary import count

KEY = jax.random.key(0)
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_pair_makes_and_judges_images_of_the_size_asked_for(name):
    builder, divisor = ARCHITECTURES[name]
    size = 2 * divisor * (1 if divisor > 4 else 4)
    pair = builder(size, 3, 2, jnp.bfloat16)

    def both(z):
        images, g = pair.generator.init_with_output(KEY, z, train=False)
        logits, d = pair.discriminator.init_with_output(KEY, images, train=False)
        features = pair.discriminator.apply(d, images, train=False, penultimate=True)
        return images, logits, features, g["params"], d["params"]

    images, logits, features, *params = jax.eval_shape(both, jnp.zeros((5, 7)))
    assert images.shape == (5, size, size, 3)
    assert logits.shape == (5,)
    assert features.shape[0] == 5
    assert len(features.shape) == 2
    assert {x.dtype for x in jax.tree.leaves((images, logits, features, params))} == {jnp.dtype(jnp.float32)}


def test_a_block_of_the_generator_is_its_shortcut_where_the_last_kernel_is_zero():
    x = jax.random.normal(KEY, (2, 3, 3, 4))
    block = UpBlock(5)
    variables = jit(partial(block.init, train=False))(KEY, x)
    # The convolutions: one with up-sampling, the second, and that of the shortcut.
    params = dict(variables["params"])
    params["Conv_0"] = jax.tree.map(jnp.zeros_like, params["Conv_0"])
    found = jit(partial(block.apply, train=False))(variables | {"params": params}, x)
    small = np.einsum("bijc,cd->bijd", x, params["Conv_1"]["kernel"][0, 0])
    np.testing.assert_allclose(found, small.repeat(2, 1).repeat(2, 2), rtol=1e-4, atol=1e-5)


def test_the_initial_kernels_of_the_blocks_are_those_of_both_authors():
    """Uniform of variance 4 / (fan_in + fan_out); beside them Glorot's, of half that."""
    x = jnp.zeros((1, 4, 4, 48))
    for variables in (UpBlock(24).init(KEY, x, train=False), DownBlock(24, halve=True).init(KEY, x)):
        kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim == 4]
        assert len(kernels) == 3
        for kernel in kernels:
            side, _, *channels = kernel.shape
            deviation = np.sqrt((4 if side == 3 else 2) / (side**2 * sum(channels)))
            assert np.std(kernel) == pytest.approx(deviation, rel=0.03)
            assert np.abs(kernel).max() == pytest.approx(np.sqrt(3) * deviation, rel=0.02)


def test_the_last_norm_of_a_generator_of_classes_has_none():
    generator = ResNetGenerator((2, 2, 4), (3,), 1, norm=partial(ConditionalBatchNorm, 5))
    labels = jnp.zeros(2, jnp.int32)
    params = jax.eval_shape(partial(generator.init, train=False), KEY, jnp.zeros((2, 6)), labels)["params"]
    assert params["BatchNorm_0"]["scale"].shape == (3,)
    assert params["UpBlock_0"]["ConditionalBatchNorm_1"]["scale"].shape == (5, 3)


@pytest.mark.parametrize(("features", "halve"), [(5, True), (4, False)])
def test_a_block_of_the_critic_is_its_shortcut_where_the_last_kernel_is_zero(features, halve):
    x = jax.random.normal(KEY, (2, 4, 4, 4))
    block = DownBlock(features, halve)
    variables = jit(block.init)(KEY, x)
    params = dict(variables["params"])
    params["Conv_1"] = jax.tree.map(jnp.zeros_like, params["Conv_1"])
    found = jit(block.apply)({"params": params}, x)
    if not halve:
        np.testing.assert_allclose(found, x, rtol=1e-6)
        return
    mean = np.asarray(x).reshape(2, 2, 2, 2, 2, 4).mean((2, 4))
    np.testing.assert_allclose(mean_pool(x), mean, rtol=1e-5, atol=1e-6)
    wanted = np.einsum("bijc,cd->bijd", mean, params["Conv_2"]["kernel"][0, 0])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spectral", [False, True])
def test_the_image_norm_is_in_front_of_both_relus(spectral):
    """What goes into the block, and what its first convolution gives, may be enlarged without a change of the block."""
    x = jax.random.normal(KEY, (2, 4, 4, 4))
    block = DownBlock(4, halve=False, image_norm=partial(LayerNorm, epsilon=0.0, axes=(-3, -2, -1)), spectral=spectral)
    variables = jit(block.init)(KEY, x)
    name = "SpectralConv_0" if spectral else "Conv_0"
    assert set(variables["params"][name]) == {"kernel"}
    larger = jax.tree.map(lambda v: v, variables)
    larger["params"][name] = {"kernel": 3 * variables["params"][name]["kernel"]}
    inner, grown, enlarged = (
        jit(block.apply)(v, c * x) - c * x for v, c in ((variables, 1), (larger, 1), (variables, 5))
    )
    np.testing.assert_allclose(inner, grown, atol=1e-4)
    np.testing.assert_allclose(inner, enlarged, atol=1e-4)
    alone = jit(block.apply)(variables, x[:1])
    np.testing.assert_allclose(alone, (inner + x)[:1], atol=1e-5)


def test_projection_is_a_plain_logit_and_a_product_with_the_classs_vector():
    features = DenseDiscriminator((6, 5))
    network = ProjectionDiscriminator(features, 3, spectral=False)
    x, labels = jax.random.normal(KEY, (4, 2, 2, 1)), jnp.array([0, 2, 1, 2])
    variables = network.init(KEY, x, labels, train=False)
    params = variables["params"]
    phi = np.asarray(features.apply({"params": params["features"]}, x, train=False, penultimate=True))
    table, dense = np.asarray(params["Embed_0"]["embedding"]), params["Dense_0"]
    wanted = phi @ np.asarray(dense["kernel"])[:, 0] + float(dense["bias"][0]) + (table[labels] * phi).sum(1)
    np.testing.assert_allclose(network.apply(variables, x, labels, train=False), wanted, rtol=1e-4, atol=1e-5)


def test_labels_matter_where_they_are_to_and_nowhere_else():
    x, z = jax.random.normal(KEY, (4, 4, 4, 1)), jax.random.normal(KEY, (4, 3))
    one, other = jnp.array([0, 1, 2, 0]), jnp.array([1, 1, 2, 0])
    judge = Discriminator((4, 4), norm=None)
    networks = {
        "generator": (LabelledGenerator(DenseGenerator((4, 4, 1), (5,)), 3), z),
        "channel": (LabelledDiscriminator(judge, 3), x),
        "pixels": (LabelledDiscriminator(DenseDiscriminator((5,)), 3, form="pixels"), x),
        "auxiliary": (AuxiliaryDiscriminator(judge, 3), x),
    }
    for name, (network, inputs) in networks.items():

        @jit
        def run(network=network, inputs=inputs):
            variables = network.init(KEY, inputs, one, train=False)
            return [network.apply(variables, inputs, labels, train=False) for labels in (one, other)]

        first, second = jax.device_get(run())
        if name == "auxiliary":
            assert first[0].shape == (4,)
            assert first[1].shape == (4, 3)
            jax.tree.map(np.testing.assert_array_equal, first, second)
            continue
        assert abs(first[0] - second[0]).max() > 1e-6
        np.testing.assert_allclose(first[1:], second[1:], rtol=1e-5)


def test_from_image_to_image_and_its_judge():
    """Valle, chapter 5, at 32x32 with 64 channels, two halvings and six blocks."""
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    wide = 9 * 64 * 64 + 64 + 128
    for network, shape, trainable in (
        # A convolution from 3 channels; halvings to 64 and 128; 6 blocks of two; doublings to 128 and 64; to 3.
        (ResNetTranslator(blocks=6), (2, 32, 32, 3), 9 * 3 * 64 + 64 + 128 + wide + (9 * 64 * 128 + 3 * 128)
         + 12 * (9 * 128 * 128 + 3 * 128) + (9 * 128 * 128 + 3 * 128) + (9 * 128 * 64 + 3 * 64) + 9 * 64 * 3 + 3),
        (ResNetJudge(), (2,), 3 * 64 + 64 + 6 * wide + 16 * 64 * 64 + 64 + 65),
    ):  # fmt: skip
        out, variables = jax.eval_shape(partial(network.init_with_output, train=False), KEY, images)
        assert out.shape == shape
        assert count(variables["params"]) == trainable


def test_the_residual_of_the_translator_is_the_mean_with_its_input():
    x = jax.random.uniform(KEY, (2, 8, 8, 3), minval=-1)
    network = ResNetTranslator(width=2, halvings=1, blocks=1)

    @jit
    def run(x):
        variables = network.init(KEY, x, train=False)
        # So large that the tanh comes to its ends.
        variables["params"]["Conv_2"]["kernel"] *= 100
        return [network.clone(residual=residual).apply(variables, x, train=False) for residual in (True, False)]

    both, alone = run(x)
    np.testing.assert_allclose(both, (alone + x) / 2, rtol=1e-5, atol=1e-6)
    assert -1 <= alone.min() < -0.999
    assert 0.999 < alone.max() <= 1
    assert -1 <= both.min() < both.max() <= 1
