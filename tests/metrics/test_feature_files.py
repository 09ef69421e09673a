"""Which network a weight file is of, its arrays tell."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.metrics import features
from gdl_jax.metrics.classifiers import STACKED
from gdl_jax.metrics.feature_files import BUILT_IN, open_features
from gdl_jax.metrics.features import PIXELS
from gdl_jax.networks import vgg


def test_names():
    assert set(BUILT_IN) == {"pixels", "raw_pixels", "random", "digits", "mnist", "fashion_mnist", "cifar10", *STACKED}
    assert open_features("pixels") is PIXELS
    assert open_features("cifar10").name.startswith("cifar10_classifier_")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(open_features("raw_pixels").of(images), images.reshape(3, -1) / 255, rtol=1e-6)
    random = open_features("random", resize="bilinear")
    assert random.name == f"random_network_{random.sha256[:8]}"
    assert not random.tells_classes
    assert random.of(images).shape == (3, 64)
    assert random.of(images).std(0).max() > 0
    assert random.treatment((8, 8, 1)) == "bilinear, antialiased, to 32x32x3, rounded to 8 bits"
    assert random.treatment((32, 32, 3)) == open_features("raw_pixels").treatment((8, 8, 1)) == "none"


@pytest.mark.parametrize("head", [True, False])
def test_vgg_with_and_without_its_fully_connected_layers(head, tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "CHANNELS", (2, 2, 3, 3, 4))
    monkeypatch.setattr(features, "IMAGES_PER_CALL", 2)
    rng, arrays, channels_in = np.random.default_rng(0), {}, 3
    for number, channels in vgg.convolutions(16):
        name = f"block{number[0]}_conv{number[2]}"
        arrays[f"{name}/kernel"] = rng.normal(0, 0.3, (3, 3, channels_in, channels)).astype(np.float32)
        arrays[f"{name}/bias"] = np.zeros(channels, np.float32)
        channels_in = channels
    if head:
        for name, shape in {"fc1": (196, 6), "fc2": (6, 6), "predictions": (6, 5)}.items():
            arrays |= {
                f"{name}/kernel": rng.normal(0, 0.1, shape).astype("f4"),
                f"{name}/bias": np.ones(shape[1], "f4"),
            }
    path = tmp_path / "vgg.npz"
    np.savez(path, **arrays)
    found = open_features(str(path))
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.name == f"vgg16_{found.sha256[:8]}"
    assert "keras's training" in found.description
    assert found.tells_classes == head
    images = rng.integers(0, 256, (3, 20, 20, 1), np.uint8)
    seen = found.look(images)
    assert seen.features.shape == (3, 6 if head else 4)
    assert found.count((20, 20, 1)) == seen.features.shape[1]
    assert len(np.unique(seen.features.round(6), axis=0)) == 3
    if head:
        logits = seen.features @ arrays["predictions/kernel"] + 1
        wanted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        np.testing.assert_allclose(seen.log_probabilities, wanted, rtol=1e-4)
        np.savez(path, **arrays | {"fc2/kernel": np.zeros((6, 7), np.float32)})
        with pytest.raises(UsageError, match=r"fc2/kernel is \(6, 7\) as Flax has it, and not \(6, 6\)"):
            open_features(str(path))
        del arrays["fc2/kernel"]
        np.savez(path, **arrays)
        with pytest.raises(UsageError, match="does not hold the weights of VGG-16: there is no kernel of fc7"):
            open_features(str(path))


def test_inception_that_is_not_whole(tmp_path):
    path = tmp_path / "inception.npz"
    np.savez(path, **{"Conv2d_1a_3x3.conv.weight": np.zeros((32, 3, 3, 3), np.float32)})
    with pytest.raises(UsageError, match=r"does not hold the weights of Inception v3: there is no \w+(\.\w+)+\.$"):
        open_features(str(path))
