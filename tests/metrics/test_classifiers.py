"""The classifiers that come with the library."""

from __future__ import annotations

import hashlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.data.source import DataSettings, load
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.metrics.classifiers import (
    SHIPPED,
    classifier_features,
    default_features,
    shipped_classifier,
    shipped_features,
    stored,
    write_classifier,
)
from gdl_jax.metrics.features import PIXELS
from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.weights import read_weights

FACTS = {"data": "some", "accuracy": "50 %"}
IMAGES = {"shape": (6, 6, 3), "image_range": (0.0, 1.0)}


def test_those_that_there_are():
    assert set(SHIPPED) == {"digits", "mnist", "fashion_mnist", "cifar10"}
    for name, path in SHIPPED.items():
        content = path.read_bytes()
        assert len(content) < 1_000_000
        features = shipped_features(name)
        assert features.sha256 == hashlib.sha256(content).hexdigest()
        assert features.name == f"{name}_classifier_{features.sha256[:8]}"
        assert "accuracy" in features.description
    assert default_features("shapes") is PIXELS


def test_its_accuracy_is_the_one_that_its_file_tells():
    source = load(DataSettings(), "test")
    test = source.take(np.arange(len(source)))
    classes = shipped_features("digits").look(test["image"]).log_probabilities.argmax(1)
    accuracy = (classes == test["label"]).mean()
    assert accuracy > 0.98
    assert shipped_classifier("digits").facts["accuracy"] == f"{accuracy:.2%} of 296 test images"


@pytest.fixture(scope="module")
def network():
    network = CNN(4, (Block(3, 5), Block(2, strides=2, pool=2)), hidden=(5,), hidden_dropout_rate=0.5, norm=BatchNorm)
    variables = jax.jit(partial(network.init, train=False))(jax.random.key(0), jnp.zeros((1, 6, 6, 3)))
    return network, jax.tree.map(lambda x: x + 0.1, variables)


def test_round_trip(network, tmp_path):
    network, variables = network
    path = tmp_path / "some.safetensors"
    write_classifier(path, network, variables, **IMAGES, facts=FACTS)
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)
    found = classifier_features(path, read_weights(path)).look(images)
    kept = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), stored(variables))
    scaled = jnp.asarray(images / 255, jnp.float32)

    @jax.jit
    def wanted(variables):
        logits, features = (network.apply(variables, scaled, train=False, penultimate=p) for p in (False, True))
        return features, jax.nn.log_softmax(logits)

    for outcome, of_stored, exact in zip(found, wanted(kept), wanted(variables), strict=True):
        np.testing.assert_allclose(outcome, of_stored, atol=1e-5)
        np.testing.assert_allclose(outcome, exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("change", [{"activation": nn.tanh}, {"norm": None}, {"padding": "VALID"}])
def test_a_network_that_a_file_cannot_tell_of(network, change, tmp_path):
    network, variables = network
    with pytest.raises(ValueError, match="cannot tell of"):
        write_classifier(tmp_path / "a.safetensors", network.clone(**change), variables, **IMAGES, facts=FACTS)
    assert not list(tmp_path.iterdir())
