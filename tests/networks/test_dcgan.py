"""Shapes, dtypes and the parameter counts of the texts, by `jax.eval_shape`."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.layers.initializers import torch_uniform, torch_uniform_fan_out
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.networks.dcgan import Discriminator, Generator, leaky_relu
from gdl_jax.networks.summary import count

keras_norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
foster_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-3)
lanham_norm = partial(BatchNorm, epsilon=0.8)


def four(kernel: int) -> dict:
    return {"kernels": (kernel,) * 4, "strides": (2,) * 4}


# name: network, input shape, output shape, trainable, with batch norm's statistics. The spec has no counts for J21; its
# generator: 101 * 16384 + 25 (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + 899 + 2 (1024 + 512 + 256 + 128).
CASES = {
    "J21 generator": (
        Generator((4, 4, 1024), (512, 256, 128, 3), **four(5)), (2, 100), (2, 64, 64, 3), 18_872_323, None),
    "J21 discriminator": (Discriminator((128, 256, 512, 1024), **four(5)), (2, 64, 64, 3), (2,), 17_234_689, None),
    "S17 generator": (
        Generator((2, 2, 512), (256, 128, 64, 3), **four(5), norm=keras_norm, start_norm=keras_norm,
                  activation=leaky_relu, start_activation=leaky_relu),
        (2, 100), (2, 32, 32, 3), 4_514_819, 4_516_739),
    "S17 discriminator": (
        Discriminator((64, 128, 256, 512), **four(5), norm=keras_norm), (2, 32, 32, 3), (2,), 4_310_401, 4_312_193),
    "LA11 generator": (
        Generator((4, 4, 512), (256, 128, 64, 3), **four(4), use_bias=False, kernel_init=torch_uniform,
                  start_init=torch_uniform_fan_out),
        (2, 100), (2, 64, 64, 3), 3_576_704, None),
    "LA11 discriminator": (
        Discriminator((64, 128, 256, 512), **four(4), use_bias=False, kernel_init=torch_uniform),
        (2, 64, 64, 3), (2,), 2_765_568, None),
    "LA19 generator": (
        Generator((8, 8, 128), (128, 64, 1), (3, 3, 3), (2, 2, 1), "nearest", norm=lanham_norm, start_norm=BatchNorm,
                  activation=leaky_relu, start_activation=None),
        (2, 100), (2, 32, 32, 1), 1_049_985, None),
    "LA19 discriminator": (
        Discriminator((16, 32, 64, 128), **four(3), padding=1, norm=lanham_norm, norm_last=True, dropout_rate=0.25,
                      dropout_channels=True),
        (2, 32, 32, 1), (2,), 98_113, None),
    "F21 generator": (
        Generator((7, 7, 64), (128, 64, 64, 1), (5,) * 4, (2, 2, 1, 1), "nearest", norm=foster_norm,
                  start_norm=partial(foster_norm, axis=(-3, -2, -1))),
        (2, 100), (2, 28, 28, 1), 837_377, 844_161),
    "F21 discriminator": (
        Discriminator((64, 64, 128, 128), (5,) * 4, (2, 2, 2, 1), norm=None, activation=nn.relu, dropout_rate=0.4),
        (2, 28, 28, 1), (2,), 720_833, 720_833),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_parameter_counts(name):
    network, inputs, outputs, trainable, everything = CASES[name]
    init = partial(network.init_with_output, train=True)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    out, variables = jax.eval_shape(init, rngs, jax.ShapeDtypeStruct(inputs, jnp.float32))
    assert out.shape == outputs
    assert out.dtype == jnp.float32
    assert count(variables["params"]) == trainable
    if everything:
        assert count(variables) == everything


@pytest.mark.parametrize("kernel", [4, 5])
def test_the_published_dcgan_takes_either_kernel(kernel):
    network = Generator((4, 4, 1024), (512, 256, 128, 3), **four(kernel))
    out, _ = jax.eval_shape(partial(network.init_with_output, train=True), jax.random.key(0), jnp.zeros((1, 100)))
    assert out.shape == (1, 64, 64, 3)


@pytest.mark.parametrize("side", [16, 28, 32])
def test_the_small_default_for_any_size_that_four_divides(side):
    generator, discriminator = Generator(start=(side // 4, side // 4, 128)), Discriminator()

    def both(z):
        image, _ = generator.init_with_output(jax.random.key(0), z, train=True)
        return image, discriminator.init_with_output(jax.random.key(0), image, train=True)[0]

    image, logits = jax.eval_shape(both, jnp.zeros((3, 64)))
    assert image.shape == (3, side, side, 1)
    assert logits.shape == (3,)


def test_dcgan_has_no_norm_at_the_pictures_and_its_scales_start_near_one():
    generator, discriminator = Generator(start=(2, 2, 8), features=(4, 1)), Discriminator(features=(4, 8))
    g = generator.init(jax.random.key(0), jnp.zeros((2, 4)), train=True)["params"]
    d = discriminator.init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), train=True)["params"]
    assert g["BatchNorm_0"]["scale"].shape == (8,)
    assert [name for name in sorted(g) if "Norm" in name] == ["BatchNorm_0", "BatchNorm_1"]
    assert [name for name in sorted(d) if "Norm" in name] == ["BatchNorm_0"]
    assert d["BatchNorm_0"]["scale"].shape == (8,)
    scale = g["BatchNorm_0"]["scale"]
    assert 0 < abs(scale - 1).max() < 0.1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_out_of_any_compute_dtype(dtype):
    generator = Generator(start=(2, 2, 8), features=(4, 3), dtype=dtype)
    discriminator = Discriminator(features=(4, 8), dtype=dtype)
    z = jax.random.normal(jax.random.key(0), (4, 5))

    @jax.jit
    def run(key):
        g = generator.init(key, z, train=True)
        images, g_updated = generator.apply(g, z, train=True, mutable=["batch_stats"])
        d = discriminator.init(key, images, train=True)
        logits, d_updated = discriminator.apply(d, images, train=True, mutable=["batch_stats"])
        return images, logits, generator.apply(g | g_updated, z, train=False), (g, d, g_updated, d_updated)

    images, logits, later, variables = run(jax.random.key(1))
    assert {leaf.dtype for leaf in jax.tree.leaves((images, logits, later, variables))} == {jnp.dtype(jnp.float32)}
    assert images.shape == later.shape == (4, 8, 8, 3)
    assert abs(images).max() <= 1
    assert jnp.isfinite(logits).all()


def test_dropout_of_whole_channels_before_the_norm():
    network = Discriminator((8,), (3,), (2,), 1, None, True, jnp.ones_like, 0.5, True)
    x = jnp.zeros((4, 8, 8, 1))
    variables = network.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, x, train=True)
    # With activations all one and a last layer of ones, the logit counts what is left: twice 16 pixels a channel.
    variables = {"params": variables["params"] | {"Dense_0": {"kernel": jnp.ones((128, 1)), "bias": jnp.zeros(1)}}}
    logits = network.apply(variables, x, train=True, rngs={"dropout": jax.random.key(2)})
    assert set(np.asarray(logits).tolist()) <= {32.0 * channels for channels in range(9)}
    assert len(set(np.asarray(logits).tolist())) > 1
    np.testing.assert_array_equal(network.apply(variables, x, train=False), 128.0)


def test_norm_last_stands_after_activation():
    x = jax.random.normal(jax.random.key(0), (8, 8, 8, 1))
    for norm_last in (False, True):
        network = Discriminator((4, 4), norm=BatchNorm, norm_last=norm_last)
        variables = network.init(jax.random.key(1), x, train=True)
        _, found = network.apply(variables, x, train=True, mutable=["batch_stats"], capture_intermediates=True)
        convolved = found["intermediates"]["Conv_1"]["__call__"][0]
        normalised = leaky_relu(convolved) if norm_last else convolved
        running = found["batch_stats"]["BatchNorm_0"]["mean"]
        np.testing.assert_allclose(running, 0.1 * normalised.mean((0, 1, 2)), atol=1e-6)


def test_pools_keep_shapes_and_parameters_and_are_what_they_are_called():
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 1))
    for downsampling, reduce in (("max_pool", np.nanmax), ("average_pool", np.nanmean)):
        network = Discriminator(
            (3,), (3,), (2,), downsampling=downsampling, norm=None, kernel_init=nn.initializers.normal(1.0)
        )
        variables = network.init(jax.random.key(1), x, train=False)
        strided = network.clone(downsampling="strided")
        wanted = jax.eval_shape(lambda n=strided: n.init(jax.random.key(1), x, train=False))
        assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, wanted)
        pooled = network.apply(variables, x, train=False, penultimate=True).reshape(2, 4, 3, 3)
        same = network.clone(strides=(1,)).apply(variables, x, train=False, penultimate=True).reshape(2, 7, 6, 3)
        # Seven rows make four squares, the last of one row.
        framed = np.pad(np.asarray(same), ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=np.nan)
        squares = framed.reshape(2, 4, 2, 3, 2, 3).transpose(0, 1, 3, 5, 2, 4).reshape(2, 4, 3, 3, 4)
        assert np.allclose(pooled, reduce(squares, axis=-1), atol=1e-5)


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"zip\(\)"):
        Generator(features=(8, 4, 1)).init(jax.random.key(0), jnp.zeros((1, 4)), train=True)
