"""VGG-19 against its published table, and the files that its weights come in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from gdl_jax.errors import UsageError
from gdl_jax.networks.summary import count
from gdl_jax.networks.vgg import CONVOLUTIONS, VGG19, load_vgg19, needed, prepare

KEY = jax.random.key(0)
ALL = tuple(f"relu{number}" for number, _ in CONVOLUTIONS)


def test_layers_and_counts_of_the_table():
    """J18: 16 convolutions of 20,024,384 parameters; sizes for 224x224."""
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    maps, variables = jax.eval_shape(VGG19(ALL).init_with_output, KEY, image)
    assert count(variables["params"]) == 20_024_384
    counts = [count(variables["params"][f"conv{number}"]) for number, _ in CONVOLUTIONS]
    assert counts == [1792, 36_928, 73_856, 147_584, 295_168, *[590_080] * 3, 1_180_160, *[2_359_808] * 7]
    sides = [224] * 2 + [112] * 2 + [56] * 4 + [28] * 4 + [14] * 4
    channels = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert [m.shape for m in maps] == [(1, side, side, c) for side, c in zip(sides, channels, strict=True)]
    image = jax.ShapeDtypeStruct((1, 400, 533, 3), jnp.float32)
    maps = jax.eval_shape(lambda x: VGG19(("relu5_4",)).init_with_output(KEY, x)[0], image)
    assert maps[0].shape == (1, 25, 33, 512)


def test_nothing_is_computed_beyond_the_last_layer():
    """The first three of Hou et al. need the five convolutions up to conv3_1."""
    variables = jax.eval_shape(VGG19().init, KEY, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32))
    assert set(variables["params"]) == {"conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"}


@pytest.mark.parametrize("layers", [(), ("relu9_1",), ("relu2_1", "relu1_1"), ("relu1_1", "relu1_1")])
def test_layers_that_there_are_not(layers):
    with pytest.raises(ValueError, match="in this order"):
        needed(layers)


def test_preparation_of_the_two_trainings():
    image = jnp.array([[[[1.0, 0.5, 0.0]]]])
    np.testing.assert_allclose(prepare(image, "keras")[0, 0, 0], [-103.939, 127.5 - 116.779, 255 - 123.68], rtol=1e-5)
    wanted = (np.array([1.0, 0.5, 0.0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepare(image, "torchvision")[0, 0, 0], wanted, rtol=1e-5)
    grey = jnp.full((2, 3, 3, 1), 0.25)
    np.testing.assert_array_equal(prepare(grey, "keras"), prepare(jnp.full((2, 3, 3, 3), 0.25), "keras"))


def torch_file(path, layers):
    """A file as torchvision names it, of random weights, and the arrays."""
    generator, arrays, channels_in = np.random.default_rng(0), {}, 3
    # Indices of torchvision's `features`.
    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    for index, (_, channels) in zip(indices, needed(layers), strict=False):
        deviation = np.sqrt(2 / (9 * channels_in))
        arrays[f"features.{index}.weight"] = generator.normal(0, deviation, (channels, channels_in, 3, 3))
        arrays[f"features.{index}.bias"] = generator.normal(0, 0.1, channels)
        channels_in = channels
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    np.savez(path, **arrays)
    return arrays


def test_a_file_with_torchvisions_names_gives_torchs_maps(tmp_path):
    """By `lax` in PyTorch's layout (batch, channels, height, width), (out, in, height, width)."""
    layers = ("relu1_2", "relu2_1", "relu3_1")
    arrays = torch_file(tmp_path / "vgg19.npz", layers)
    weights, variables = load_vgg19(tmp_path / "vgg19.npz", layers)
    assert weights == "torchvision"
    images = jax.random.uniform(KEY, (2, 8, 8, 3))
    found = VGG19(layers, weights).apply(variables, images)
    x = prepare(images, weights).transpose(0, 3, 1, 2)
    wanted = []
    for name in (0, 2, "pool", 5, 7, "pool", 10):
        if name == "pool":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            continue
        kernel, bias = arrays[f"features.{name}.weight"], arrays[f"features.{name}.bias"]
        y = lax.conv_general_dilated(x, jnp.asarray(kernel), (1, 1), ((1, 1), (1, 1)))
        x = nn.relu(y + bias.reshape(1, -1, 1, 1))
        if name in (2, 5, 10):
            wanted.append(x.transpose(0, 2, 3, 1))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_file_with_keras_names(tmp_path):
    layers = ("relu1_1", "relu2_1")
    kernels = {"block1_conv1": (3, 64), "block1_conv2": (64, 64), "block2_conv1": (64, 128)}
    arrays = {}
    for name, (channels_in, channels) in kernels.items():
        arrays[f"{name}/kernel"] = np.full((3, 3, channels_in, channels), 0.01, np.float32)
        arrays[f"{name}/bias"] = np.zeros(channels, np.float32)
    np.savez(tmp_path / "vgg19.npz", **arrays)
    weights, variables = load_vgg19(tmp_path / "vgg19.npz", layers)
    assert weights == "keras"
    np.testing.assert_array_equal(variables["params"]["conv2_1"]["kernel"], arrays["block2_conv1/kernel"])


def test_average_pooling():
    layers = ("relu1_2", "relu2_1")
    x = jax.random.uniform(KEY, (1, 4, 4, 3))
    variables = VGG19(layers).init(KEY, x)
    largest, average = (VGG19(layers, pooling=pooling).apply(variables, x) for pooling in ("max", "average"))
    np.testing.assert_array_equal(largest[0], average[0])
    kernel = variables["params"]["conv2_1"]["kernel"]
    pooled = average[0].reshape(1, 2, 2, 2, 2, 64).mean((2, 4))
    dimensions = ("NHWC", "HWIO", "NHWC")
    wanted = lax.conv_general_dilated(pooled, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
    np.testing.assert_allclose(average[1], nn.relu(wanted), rtol=1e-3, atol=1e-5)


def test_files_that_will_not_do(tmp_path):
    path, layers = tmp_path / "vgg19.npz", ("relu1_1",)
    with pytest.raises(UsageError, match=r"There is no file .*vgg19.npz .*torchvision.models.vgg19"):
        load_vgg19(path, layers)
    path.write_bytes(b"no zip")
    with pytest.raises(UsageError, match="does not hold the weights of VGG-19"):
        load_vgg19(path, layers)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UsageError, match="block1_conv1/kernel"):
        load_vgg19(path, layers)
    arrays = torch_file(path, layers)
    np.savez(path, **arrays | {"features.0.weight": np.zeros((32, 3, 3, 3), np.float32)})
    with pytest.raises(UsageError, match=r"features.0.weight is \(32, 3, 3, 3\)"):
        load_vgg19(path, layers)
