from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.metrics import features as features_module
from gdl_jax.metrics.feature_files import inception_features
from gdl_jax.networks.inception import BLOCKS, SIZE, InceptionV3, from_torch, pooled
from gdl_jax.networks.weights import Weights
from gdl_jax.steps.devices import make_mesh

CHANNELS = {
    "Mixed_5b": (35, 256),
    "Mixed_5c": (35, 288),
    "Mixed_5d": (35, 288),
    "Mixed_6a": (17, 768),
    "Mixed_6b": (17, 768),
    "Mixed_6c": (17, 768),
    "Mixed_6d": (17, 768),
    "Mixed_6e": (17, 768),
    "Mixed_7a": (8, 1280),
    "Mixed_7b": (8, 2048),
    "Mixed_7c": (8, 2048),
}
"""Side and channels of what each block gives: table 1 of the paper."""


@pytest.fixture(scope="module")
def shapes():
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))


def test_layer_table_and_parameters(shapes):
    def run(variables, x):
        return InceptionV3().apply(variables, x, capture_intermediates=True, mutable=["intermediates"])

    (features, logits), found = jax.eval_shape(run, shapes, jnp.zeros((2, SIZE, SIZE, 3)))
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    outputs = found["intermediates"]
    assert {name: outputs[name]["__call__"][0].shape[2:] for name in BLOCKS} == CHANNELS
    # torchvision's 27,161,264 without the second classifier's 3,326,696, and with eight more logits.
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 27_161_264 - 3_326_696 + 8 * 2049


def test_average_pool_does_not_count_the_edge():
    np.testing.assert_allclose(pooled(jnp.ones((1, 4, 4, 1)), "average"), 1, rtol=1e-6)


def torch_names(shapes):
    rng = np.random.default_rng(0)
    arrays = {}
    for where, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        _, *folders, last = (key.key for key in where)
        their = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
        array = rng.normal(size=leaf.shape).astype(np.float32)
        if last == "kernel":
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0)) / np.float32(array[..., 0].size ** 0.5)
        arrays[".".join([*folders, their.get(last, last)])] = np.abs(array) if last in ("var", "scale") else array
    return arrays


def test_weights_of_another_network_are_named(shapes):
    arrays = torch_names(shapes)
    variables = from_torch(Path("a.pth"), Weights(arrays, ""))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
    kernel = variables["params"]["Mixed_6b"]["branch7x7_2"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel[0, 3, 5, 7], arrays["Mixed_6b.branch7x7_2.conv.weight"][7, 5, 0, 3])
    with pytest.raises(UsageError, match=r"fc\.bias is \(1000,\) and not \(1008,\) \(torchvision"):
        from_torch(Path("a.pth"), Weights(arrays | {"fc.bias": np.zeros(1000)}, ""))
    del arrays["Mixed_7c.branch1x1.bn.running_mean"]
    with pytest.raises(UsageError, match=r"there is no Mixed_7c\.branch1x1\.bn\.running_mean"):
        from_torch(Path("a.pth"), Weights(arrays, ""))


@pytest.mark.torch
def test_activations_are_those_of_pytorch(shapes, monkeypatch):
    """Features, and the classes of the inception score: by the logits without their biases."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(features_module, "IMAGES_PER_CALL", 1)
    arrays = torch_names(shapes)
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    images = (pixels / 127.5 - 1).astype(np.float32)

    def conv(x, name, stride=1, padding=0):
        y = torch.nn.functional.conv2d(x, torch.tensor(arrays[f"{name}.conv.weight"]), None, stride, padding)
        stats = (
            torch.tensor(arrays[f"{name}.bn.{part}"]) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return torch.relu(torch.nn.functional.batch_norm(y, *stats, eps=1e-3))

    def average(x):
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def halved(x):
        return torch.nn.functional.max_pool2d(x, 3, 2)

    def small(x, at):
        b1 = conv(x, f"{at}.branch1x1")
        b5 = conv(conv(x, f"{at}.branch5x5_1"), f"{at}.branch5x5_2", padding=2)
        b3 = conv(conv(x, f"{at}.branch3x3dbl_1"), f"{at}.branch3x3dbl_2", padding=1)
        b3 = conv(b3, f"{at}.branch3x3dbl_3", padding=1)
        return torch.cat([b1, b5, b3, conv(average(x), f"{at}.branch_pool")], 1)

    def middle(x, at):
        row, column = {"padding": (0, 3)}, {"padding": (3, 0)}
        b7 = conv(conv(x, f"{at}.branch7x7_1"), f"{at}.branch7x7_2", **row)
        b7 = conv(b7, f"{at}.branch7x7_3", **column)
        d = conv(conv(x, f"{at}.branch7x7dbl_1"), f"{at}.branch7x7dbl_2", **column)
        d = conv(conv(d, f"{at}.branch7x7dbl_3", **row), f"{at}.branch7x7dbl_4", **column)
        d = conv(d, f"{at}.branch7x7dbl_5", **row)
        return torch.cat([conv(x, f"{at}.branch1x1"), b7, d, conv(average(x), f"{at}.branch_pool")], 1)

    def large(x, at, pool):
        b = conv(x, f"{at}.branch3x3_1")
        d = conv(conv(x, f"{at}.branch3x3dbl_1"), f"{at}.branch3x3dbl_2", padding=1)
        parts = [conv(x, f"{at}.branch1x1")]
        for y, name in ((b, "branch3x3_2"), (d, "branch3x3dbl_3")):
            parts += [conv(y, f"{at}.{name}a", padding=(0, 1)), conv(y, f"{at}.{name}b", padding=(1, 0))]
        return torch.cat([*parts, conv(pool(x), f"{at}.branch_pool")], 1)

    with torch.no_grad():
        x = torch.tensor(images.transpose(0, 3, 1, 2))
        x = conv(conv(conv(x, "Conv2d_1a_3x3", 2), "Conv2d_2a_3x3"), "Conv2d_2b_3x3", padding=1)
        x = halved(conv(conv(halved(x), "Conv2d_3b_1x1"), "Conv2d_4a_3x3"))
        for at in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = small(x, at)
        d = conv(conv(x, "Mixed_6a.branch3x3dbl_1"), "Mixed_6a.branch3x3dbl_2", padding=1)
        x = torch.cat([conv(x, "Mixed_6a.branch3x3", 2), conv(d, "Mixed_6a.branch3x3dbl_3", 2), halved(x)], 1)
        for at in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = middle(x, at)
        a = conv(conv(x, "Mixed_7a.branch3x3_1"), "Mixed_7a.branch3x3_2", 2)
        d = conv(conv(x, "Mixed_7a.branch7x7x3_1"), "Mixed_7a.branch7x7x3_2", padding=(0, 3))
        d = conv(conv(d, "Mixed_7a.branch7x7x3_3", padding=(3, 0)), "Mixed_7a.branch7x7x3_4", 2)
        x = torch.cat([a, d, halved(x)], 1)
        x = large(x, "Mixed_7b", average)
        x = large(x, "Mixed_7c", lambda x: torch.nn.functional.max_pool2d(x, 3, 1, 1))
        features = x.mean((2, 3))
        log_probabilities = torch.log_softmax(features @ torch.tensor(arrays["fc.weight"]).T, 1)

    mesh = make_mesh(jax.devices()[:1])
    known = inception_features(Path("a.pth"), Weights(arrays, "ab"), mesh)
    found = known.look(pixels)
    scale = float(features.abs().max())
    np.testing.assert_allclose(found.features / scale, features / scale, atol=2e-5)
    np.testing.assert_allclose(found.log_probabilities / scale, log_probabilities / scale, atol=1e-4)
    assert (known.name, known.num_classes) == ("inception_ab", 1008)
    half = inception_features(Path("a.pth"), Weights(arrays, "ab"), mesh, dtype=jnp.bfloat16)
    assert half.name == "inception_ab_bfloat16"
    assert "computed in bfloat16" in half.description
