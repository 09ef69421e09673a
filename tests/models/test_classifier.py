"""The classifier's step against a gradient by hand, and what it says of images."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.models.classifier import Classifier, is_right
from gdl_jax.models.model import Classifies, Evaluates, Model, Samples
from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.conv_autoencoder import batch_norm
from gdl_jax.networks.mlp import MLP

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

KEY = jax.random.key(0)
BATCH = {
    "image": jax.random.uniform(jax.random.key(1), (6, 4, 4, 1)),
    "label": jnp.array([0, 1, 2, 2, 1, 0], jnp.int32),
}


def step(model, key=KEY, batch=BATCH):
    """State before, state after and metrics, of one step."""

    @jit
    def run(key):
        state = model.init(jax.random.key(2), batch)
        return state, *model.step(state, jax.tree.map(lambda x: x[None], batch), key)

    before, after, metrics = run(key)
    return before, after, {name: mean.value() for name, mean in metrics.means.items()}


def test_it_is_what_it_says():
    model = Classifier(network=MLP((3,)), optimizer=optax.sgd(0.1))
    assert isinstance(model, Model)
    assert isinstance(model, Classifies)
    assert isinstance(model, Evaluates)
    assert not isinstance(model, Samples)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_is_gradient_descent_on_the_mean_cross_entropy(smoothing):
    model = Classifier(network=MLP((3,)), optimizer=optax.sgd(0.5), label_smoothing=smoothing)
    before, after, found = step(model)
    x = np.asarray(BATCH["image"], np.float64).reshape(6, -1)
    kernel = np.asarray(before.networks["classifier"].params["Dense_0"]["kernel"], np.float64)
    logits = x @ kernel
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    q = (1 - smoothing) * np.eye(3)[np.asarray(BATCH["label"])] + smoothing / 3
    assert found["classifier/loss"] == pytest.approx(-(q * np.log(p)).sum(1).mean(), rel=1e-5)
    assert found["classifier/accuracy"] == pytest.approx((logits.argmax(1) == BATCH["label"]).mean())
    moved = after.networks["classifier"].params["Dense_0"]
    np.testing.assert_allclose(moved["kernel"], kernel - 0.5 * x.T @ (p - q) / 6, atol=1e-6)
    np.testing.assert_allclose(moved["bias"], -0.5 * (p - q).mean(0), atol=1e-6)


def test_what_it_says_of_images():
    model = Classifier(network=MLP((5, 3), nn.tanh), optimizer=optax.sgd(0.1), label_smoothing=0.3)
    state = model.init(KEY, BATCH)
    layers = jax.device_get(state.networks["classifier"].params)
    x = np.asarray(BATCH["image"]).reshape(6, -1)
    features = np.tanh(x @ layers["Dense_0"]["kernel"])
    logits = features @ layers["Dense_1"]["kernel"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.features(state, BATCH["image"]), features, atol=1e-6)
    np.testing.assert_allclose(np.exp(model.classify(state, BATCH["image"])), p, rtol=1e-5)
    found = model.evaluate(state, BATCH, KEY)
    labels = np.asarray(BATCH["label"])
    np.testing.assert_array_equal(found["accuracy"], (p.argmax(1) == labels).astype(np.float32))
    # Unsmoothed, whatever was trained.
    np.testing.assert_allclose(found["cross_entropy"], -np.log(p[np.arange(6), labels]), rtol=1e-5)
    assert set(found) == {"accuracy", "cross_entropy"}


@pytest.mark.parametrize("top", [1, 2, 5])
def test_is_right_against_sorting(top):
    logits = jax.random.normal(KEY, (50, 7))
    labels = jax.random.randint(KEY, 50, 0, 7)
    order = np.argsort(-np.asarray(logits), axis=1)[:, :top]
    wanted = [float(label in row) for label, row in zip(labels.tolist(), order, strict=True)]
    np.testing.assert_array_equal(is_right(logits, labels, top), wanted)


def test_five_guesses_of_more_than_ten_classes():
    model = Classifier(network=MLP((11,)), optimizer=optax.sgd(0.1))
    found = model.evaluate(model.init(KEY, BATCH), BATCH, KEY)
    assert set(found) == {"accuracy", "cross_entropy", "top_5_accuracy"}
    assert (found["top_5_accuracy"] >= found["accuracy"]).all()
    assert found["top_5_accuracy"].shape == (6,)


def test_norm_and_dropout_are_of_training_alone():
    network = CNN(3, (Block(4),), hidden=(8,), hidden_dropout_rate=0.5, norm=batch_norm)
    model = Classifier(network=network, optimizer=optax.sgd(0.1))
    before, after, found = step(model)
    _, _, again = step(model)
    _, _, other = step(model, jax.random.key(7))
    assert found == again
    assert found["classifier/loss"] != other["classifier/loss"]
    changed = jax.tree.map(
        lambda a, b: bool((a != b).any()),
        before.networks["classifier"].collections,
        after.networks["classifier"].collections,
    )
    assert all(jax.tree.leaves(changed))
    one, two = (model.evaluate(after, BATCH, jax.random.key(i))["cross_entropy"] for i in (1, 2))
    np.testing.assert_array_equal(one, two)
    # Each image on its own: what stands beside it in the batch does not matter.
    alone = model.classify(after, BATCH["image"][:1])
    np.testing.assert_allclose(alone, model.classify(after, BATCH["image"])[:1], atol=1e-5)


def test_training_images_are_shifted_and_others_are_not():
    class Brightest(nn.Module):
        """Logits that tell where an image is 1."""

        @nn.compact
        def __call__(self, x, *, train, penultimate=False):
            scale = self.param("scale", nn.initializers.ones, ())
            return scale * x.reshape(len(x), -1)

    batch = {"image": jnp.zeros((64, 3, 3, 1)).at[:, 1, 1].set(9.0), "label": jnp.full(64, 4, jnp.int32)}
    fixed = Classifier(network=Brightest(), optimizer=optax.sgd(0.1))
    shifted = Classifier(network=Brightest(), optimizer=optax.sgd(0.1), crop_padding=1)
    assert step(fixed, batch=batch)[2]["classifier/accuracy"] == 1
    # One of nine places each.
    state, _, found = step(shifted, batch=batch)
    assert 0 < found["classifier/accuracy"] < 0.4
    assert shifted.evaluate(state, batch, KEY)["accuracy"].mean() == 1
