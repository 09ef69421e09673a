"""The loss of features, the frozen network, the measures."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.data.digits import load as load_digits
from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError
from gdl_jax.losses.perceptual import feature_perceptual_loss
from gdl_jax.models.dfc_vae import DFCVAE, FeatureNetwork
from gdl_jax.networks.dense_autoencoder import DenseDecoder, DenseEncoder

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

KEY = jax.random.key(0)
SHAPE = (4, 4, 3)


class Maps(nn.Module):
    """Two maps, with running statistics that nothing changes."""

    @nn.compact
    def __call__(self, x):
        first = nn.relu(nn.Conv(4, (3, 3))(x))
        second = nn.Conv(2, (3, 3), strides=2)(nn.BatchNorm(use_running_average=True)(first))
        return first, second


NETWORK = Maps()


def features_of(shape):
    return FeatureNetwork(NETWORK.apply, lambda: NETWORK.init(jax.random.key(5), jnp.zeros((1, *shape))), "two maps")


FEATURES = features_of(SHAPE)


def model_of(**settings) -> DFCVAE:
    coders = {"encoder": DenseEncoder(2, 2, (8,)), "decoder": DenseDecoder(SHAPE, (8,))}
    others = {"optimizer": optax.sgd(0.1), "features": FEATURES, "feature_weight": 20.0}
    return DFCVAE(**coders | others | settings)


def images(num):
    return jax.random.uniform(KEY, (num, *SHAPE))


def test_a_step_descends_features_and_divergence_and_leaves_the_network_alone():
    x = images(4)
    model = model_of(kl_weight=3.0)

    @jit
    def run(x):
        state = model.init(jax.random.key(1), {"image": x})
        return state, *model.step(state, {"image": x[None]}, KEY)

    before, after, metrics = run(x)
    found = {name: mean.value() for name, mean in metrics.means.items()}
    assert found["vae/loss"] == pytest.approx(found["vae/reconstruction"] + 3 * found["vae/kl"], rel=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after.networks["features"], before.networks["features"])
    assert before.networks["features"].opt_state == ()
    found_there = before.networks["features"].variables()
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), found_there, FEATURES.load())
    for name in ("encoder", "decoder"):
        moved = jax.tree.map(lambda a, b: (a != b).any(), before.networks[name].params, after.networks[name].params)
        assert all(jax.tree.leaves(moved))
    # The noise of the step: its first phase, its first repeat, the first of three keys.
    key = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), 3)[0]
    mean, log_variance = model.posterior(before, x)
    decoded = model.decode(before, mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape))
    variables = FEATURES.load()
    wanted = feature_perceptual_loss(NETWORK.apply(variables, decoded), NETWORK.apply(variables, x))
    assert found["vae/reconstruction"] == pytest.approx(20 * float(wanted.mean()), rel=1e-4)


def test_measures():
    x = images(4)
    model = model_of(kl_weight=3.0)
    state = model.init(jax.random.key(1), {"image": x})
    found = model.evaluate(state, {"image": x}, KEY)
    decoded = model.reconstruct(state, x)
    variables = FEATURES.load()
    wanted = feature_perceptual_loss(NETWORK.apply(variables, decoded), NETWORK.apply(variables, x))
    np.testing.assert_allclose(found["feature_error"], wanted, rtol=1e-4)
    np.testing.assert_allclose(found["objective"], 20 * wanted + 3 * found["kl"], rtol=1e-4)
    assert model.protocol() == {
        "objective": "20 times the feature error, 3 times the KL in nats",
        "feature_error": "features: two maps",
    }
    np.testing.assert_allclose(found["mse"], np.square(decoded - x).mean((1, 2, 3)), rtol=1e-4)


def test_pixels_are_learned_without_a_term_of_theirs():
    """On small digits, through the features of random convolutions."""
    sources = (load_digits(DataSettings(size=8), split) for split in ("train", "test"))
    train, test = (jnp.asarray(s.take(np.arange(len(s)))["image"], jnp.float32) / 255 for s in sources)
    shape = train.shape[1:]
    coders = {"encoder": DenseEncoder(8, 2, (64,)), "decoder": DenseDecoder(shape, (64,))}
    model = model_of(
        **coders, features=features_of(shape), latent_size=8, feature_weight=1000.0, optimizer=optax.adam(3e-3)
    )
    chosen = np.random.default_rng(0).integers(0, len(train), (600, 64))

    @jax.jit
    def run(state):
        def one(state, numbered):
            number, rows = numbered
            return model.step(state, {"image": train[rows][None]}, jax.random.fold_in(KEY, number))[0], None

        return jax.lax.scan(one, state, (jnp.arange(600), chosen))[0]

    state = run(model.init(jax.random.key(1), {"image": train[:64]}))
    found = jax.tree.map(lambda x: float(x.mean()), model.evaluate(state, {"image": test}, KEY))
    mean_image = float(jnp.square(test - train.mean(0, keepdims=True)).mean())
    assert found["mse"] < 0.5 * mean_image  # seen: 0.38
    assert found["kl"] > 1  # seen: 4.0


def test_there_is_no_likelihood():
    model = model_of()
    state = model.init(jax.random.key(1), {"image": images(2)})
    with pytest.raises(UsageError, match="no likelihood"):
        model.log_prob(state, images(2), KEY, 4)
    with pytest.raises(UsageError, match="no likelihood"):
        model_of(importance_samples=2)
