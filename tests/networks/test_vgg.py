"""VGG against its published table, and the files that its weights come in."""

from __future__ import annotations

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from gdl_jax.errors import UsageError
from gdl_jax.networks import vgg
from gdl_jax.networks.summary import count
from gdl_jax.networks.vgg import BLOCKS, VGG, convolutions, is_vgg, load_vgg, needed, prepare
from gdl_jax.networks.weights import read_weights

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("depth", "last", "kernels", "everything"),
    [(16, "relu5_3", 14_714_688, 138_357_544), (19, "relu5_4", 20_024_384, 143_667_240)],
)
def test_layers_and_counts_of_the_table(depth, last, kernels, everything):
    """J18: the convolutions of VGG-19 have 20,024,384 parameters; sizes for 224x224. The whole: as in torchvision."""
    names = tuple(f"relu{number}" for number, _ in convolutions(depth))
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    maps, variables = jax.eval_shape(VGG(depth, (*names, "logits")).init_with_output, KEY, image)
    assert count(variables["params"]) == everything
    assert count({name: leaves for name, leaves in variables["params"].items() if name[0] == "c"}) == kernels
    shapes = [
        (1, 224 // 2**block, 224 // 2**block, min(64 * 2**block, 512))
        for block, number in enumerate(BLOCKS[depth])
        for _ in range(number)
    ]
    assert [m.shape for m in maps] == [*shapes, (1, 1000)]
    image = jax.ShapeDtypeStruct((1, 400, 533, 3), jnp.float32)
    maps = jax.eval_shape(lambda x: VGG(depth, (last,)).init_with_output(KEY, x)[0], image)
    assert maps[0].shape == (1, 25, 33, 512)


def test_nothing_is_computed_beyond_the_last_layer():
    """The first three of Hou et al. need the five convolutions up to conv3_1."""
    variables = jax.eval_shape(VGG().init, KEY, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32))
    assert set(variables["params"]) == {"conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"}


@pytest.mark.parametrize(
    "layers", [(), ("relu9_1",), ("relu2_1", "relu1_1"), ("relu1_1", "relu1_1"), ("relu7", "relu5_3"), ("relu3_4",)]
)
def test_layers_that_there_are_not(layers):
    with pytest.raises(UsageError, match="in this order"):
        needed(layers, 16)


def test_preparation_of_the_two_trainings():
    image = jnp.array([[[[1.0, 0.5, 0.0]]]])
    np.testing.assert_allclose(prepare(image, "keras")[0, 0, 0], [-103.939, 127.5 - 116.779, 255 - 123.68], rtol=1e-5)
    wanted = (np.array([1.0, 0.5, 0.0]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepare(image, "torchvision")[0, 0, 0], wanted, rtol=1e-5)
    grey = jnp.full((2, 3, 3, 1), 0.25)
    np.testing.assert_array_equal(prepare(grey, "keras"), prepare(jnp.full((2, 3, 3, 3), 0.25), "keras"))


def torch_vgg(depth, torch, *, units, classes):
    """Built as torchvision builds it, for its names, with fewer units."""
    layers, channels_in = [], 3
    for number, channels in convolutions(depth):
        if number.endswith("_1") and number != "1_1":
            layers.append(torch.nn.MaxPool2d(2, 2))
        layers += [torch.nn.Conv2d(channels_in, channels, 3, padding=1), torch.nn.ReLU()]
        torch.nn.init.kaiming_normal_(layers[-2].weight, mode="fan_in", nonlinearity="relu")
        channels_in = channels
    network = torch.nn.Module()
    network.features = torch.nn.Sequential(*layers, torch.nn.MaxPool2d(2, 2))
    network.classifier = torch.nn.Sequential(
        torch.nn.Linear(channels_in * 7 * 7, units), torch.nn.ReLU(), torch.nn.Dropout(),
        torch.nn.Linear(units, units), torch.nn.ReLU(), torch.nn.Dropout(),
        torch.nn.Linear(units, classes),
    )  # fmt: skip
    return network.eval()


@pytest.mark.torch
@pytest.mark.parametrize(
    ("depth", "size", "layers"),
    [(16, 224, ("relu1_2", "relu5_3", "relu7", "logits")), (19, 32, ("relu1_2", "relu5_4"))],
)
def test_activations_are_those_of_pytorch(depth, size, layers, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    # Fewer channels, or most of the time would go into random numbers.
    monkeypatch.setattr(vgg, "CHANNELS", (4, 6, 8, 10, 12))
    torch.manual_seed(0)
    theirs = torch_vgg(depth, torch, units=12, classes=5)
    path = tmp_path / "vgg.pth"
    torch.save(theirs.state_dict(), path)
    images = np.random.default_rng(0).random((1, size, size, 3), np.float32)

    network, variables, sha256 = load_vgg(path, layers)
    assert (network.depth, network.origin) == (depth, "torchvision")
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = dict(zip(layers, jax.jit(network.apply)(variables, images), strict=True))
    with torch.no_grad():
        x = torch.tensor(np.array(prepare(jnp.asarray(images), "torchvision")).transpose(0, 3, 1, 2))
        maps = theirs.features[:-1](x)
        wanted = {"relu1_2": theirs.features[:4](x), layers[1]: maps}
        if "logits" in layers:
            flat = theirs.features[-1](maps).flatten(1)
            wanted |= {"relu7": theirs.classifier[:5](flat), "logits": theirs.classifier(flat)}
    assert found.keys() == wanted.keys()
    for layer, array in wanted.items():
        array = array.numpy().transpose((0, 2, 3, 1) if array.ndim == 4 else (0, 1))
        scale = np.abs(array).max()
        np.testing.assert_allclose(found[layer] / scale, array / scale, atol=2e-5, err_msg=layer)


def test_activations_of_a_file_of_keras(tmp_path, monkeypatch):
    """BGR less its means, kernels (rows, columns, in, out), maps flattened row by row: as Keras' own VGG has it."""
    torch, h5py = pytest.importorskip("torch"), pytest.importorskip("h5py")
    monkeypatch.setattr(vgg, "CHANNELS", (4, 6, 8, 10, 12))
    rng, arrays, channels_in = np.random.default_rng(0), {}, 3
    for number, channels in convolutions(16):
        spread = np.sqrt(2 / (9 * channels_in))
        arrays[f"block{number[0]}_conv{number[2]}"] = rng.normal(0, spread, (3, 3, channels_in, channels))
        channels_in = channels
    arrays |= {
        "fc1": rng.normal(0, 0.06, (49 * 12, 7)),
        "fc2": rng.normal(size=(7, 7)),
        "predictions": rng.normal(size=(7, 5)),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    biases = {name: rng.normal(0, 0.1, array.shape[-1]).astype(np.float32) for name, array in arrays.items()}
    with h5py.File(tmp_path / "vgg.h5", "w") as file:
        for name, array in arrays.items():
            file[f"model_weights/{name}/{name}/kernel:0"], file[f"model_weights/{name}/{name}/bias:0"] = (
                array,
                biases[name],
            )
    image = rng.random((1, 224, 224, 3), np.float32)

    x = torch.tensor(255 * image[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)).permute(0, 3, 1, 2)
    wanted = {}
    for name in (name for name in arrays if name.startswith("block")):
        if name.endswith("_conv1") and name != "block1_conv1":
            x = torch.nn.functional.max_pool2d(x, 2)
        kernel = torch.tensor(arrays[name]).permute(3, 2, 0, 1)
        x = torch.relu(torch.nn.functional.conv2d(x, kernel, torch.tensor(biases[name]), padding=1))
        wanted[f"relu{name[5]}_{name[-1]}"] = x.permute(0, 2, 3, 1)
    x = torch.nn.functional.max_pool2d(x, 2).permute(0, 2, 3, 1).reshape(1, -1)
    for name, layer in (("fc1", "relu6"), ("fc2", "relu7"), ("predictions", "logits")):
        x = x @ torch.tensor(arrays[name]) + torch.tensor(biases[name])
        x = wanted[layer] = x if layer == "logits" else torch.relu(x)

    layers = ("relu1_1", "relu3_3", "relu5_3", "relu6", "relu7", "logits")
    network, variables, _ = load_vgg(tmp_path / "vgg.h5", layers)
    for layer, found in zip(layers, jax.jit(network.apply)(variables, image), strict=True):
        scale = float(wanted[layer].abs().max())
        assert scale > 0.1
        np.testing.assert_allclose(found / scale, wanted[layer] / scale, atol=2e-5, err_msg=layer)


ARRAYS = {"kernel": np.random.default_rng(0).normal(size=(3, 3, 3, 64)).astype(np.float32), "bias": np.ones(64, "f4")}


def keras_file(path, names):
    """The first layer under such names."""
    if path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for kind, name in names.items():
                file[name] = ARRAYS[kind]
    elif path.suffix == ".npz":
        np.savez(path, **{name: ARRAYS[kind] for kind, name in names.items()})
    else:
        from safetensors.numpy import save_file

        save_file({name: ARRAYS[kind] for kind, name in names.items()}, path)


@pytest.mark.parametrize(
    ("file", "kernel", "bias"),
    [
        ("a.h5", "block1_conv1/block1_conv1_W_1:0", "block1_conv1/block1_conv1_b_1:0"),
        ("a.h5", "model_weights/block1_conv1/block1_conv1/kernel:0", "model_weights/block1_conv1/block1_conv1/bias:0"),
        ("a.npz", "block1_conv1/kernel", "block1_conv1/bias"),
        ("a.safetensors", "block1_conv1/kernel", "block1_conv1/bias"),
    ],
)
def test_files_of_keras(file, kernel, bias, tmp_path):
    path = tmp_path / file
    keras_file(path, {"kernel": kernel, "bias": bias})
    assert is_vgg(read_weights(path))
    network, variables, sha256 = load_vgg(path, ("relu1_1",))
    assert network.origin == "keras"
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for kind, array in ARRAYS.items():
        np.testing.assert_array_equal(variables["params"]["conv1_1"][kind], array)


def test_average_pooling():
    layers = ("relu1_2", "relu2_1")
    x = jax.random.uniform(KEY, (1, 4, 4, 3))
    variables = jax.jit(VGG(19, layers).init)(KEY, x)
    largest, average = (jax.jit(VGG(19, layers, pooling=pooling).apply)(variables, x) for pooling in ("max", "average"))
    np.testing.assert_array_equal(largest[0], average[0])
    kernel = variables["params"]["conv2_1"]["kernel"]
    pooled = average[0].reshape(1, 2, 2, 2, 2, 64).mean((2, 4))
    dimensions = ("NHWC", "HWIO", "NHWC")
    wanted = lax.conv_general_dilated(pooled, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
    np.testing.assert_allclose(average[1], nn.relu(wanted), rtol=1e-3, atol=1e-5)


def test_files_that_will_not_do(tmp_path):
    path, layers = tmp_path / "vgg19.npz", ("relu1_1",)
    with pytest.raises(UsageError, match=r"There is no file .*vgg19.npz .*torchvision.models.vgg19"):
        load_vgg(path, layers)
    path.write_bytes(b"no zip")
    with pytest.raises(UsageError, match="holds no arrays that can be read"):
        load_vgg(path, layers)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(UsageError, match=r"there is no features\.0\.weight as torchvision has it, and no block1_conv1"):
        load_vgg(path, layers)
    keras_file(path, {"kernel": "block1_conv1/kernel", "bias": "block1_conv1/bias"})
    with pytest.raises(UsageError, match="VGG-16: there is no kernel of conv1_2; to make one"):
        load_vgg(path, ("relu1_2",))
    np.savez(path, **{"features.0.weight": np.zeros((32, 3, 3, 3)), "features.0.bias": np.zeros(32)})
    with pytest.raises(UsageError, match=r"features\.0\.weight is \(3, 3, 3, 32\) as Flax has it, and not \(3,"):
        load_vgg(path, layers)
