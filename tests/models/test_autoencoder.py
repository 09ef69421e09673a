"""The autoencoder's losses, penalty, noise and measures against NumPy; and it does better than PCA."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from gdl_jax.data.digits import load as load_digits
from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError
from gdl_jax.losses.reconstruction import psnr
from gdl_jax.models.autoencoder import Autoencoder, DenoisingAutoencoder
from gdl_jax.models.model import Denoises, Evaluates, Reconstructs, Samples
from gdl_jax.networks.dense_autoencoder import DenseDecoder, DenseEncoder
from gdl_jax.networks.pooling_autoencoder import PoolingEncoder, UnpoolingDecoder
from gdl_jax.steps.augmentation import Corruption

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

KEY = jax.random.key(0)
SHAPE = (4, 4, 1)


def images(num, shape=SHAPE, seed=0):
    return jax.random.uniform(jax.random.key(seed), (num, *shape))


def model_of(shape=SHAPE, latent=3, hidden=(8,), **settings) -> Autoencoder:
    encoder, decoder = DenseEncoder(latent, 1, hidden), DenseDecoder(shape, hidden[::-1])
    kind = DenoisingAutoencoder if "corruption" in settings else Autoencoder
    return kind(encoder=encoder, decoder=decoder, **{"optimizer": optax.sgd(0.1)} | settings)


def step(model, x, key=KEY):
    """State before, state after and metrics."""

    @jit
    def run(x, key):
        state = model.init(jax.random.key(1), {"image": x})
        return state, *model.step(state, {"image": x[None]}, key)

    before, after, metrics = run(x, key)
    return before, after, {name: mean.value() for name, mean in metrics.means.items()}


def outputs_of(model, state, x):
    """Codes and outputs, by the networks alone."""
    (codes,) = model.encoder.apply(state.networks["encoder"].variables(), x, train=False)
    outputs = model.decoder.apply(state.networks["decoder"].variables(), codes, train=False)
    return np.asarray(codes, np.float64), np.asarray(outputs, np.float64)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_losses_and_their_reductions(loss, reduce):
    """Sum or mean over the pixels of an image; the mean over the batch."""
    x = images(6)
    model = model_of(loss=loss, reduce=reduce, code_penalty=0.3)
    before, after, found = step(model, x)
    codes, outputs = outputs_of(model, before, x)
    target = np.asarray(x, np.float64)
    if loss == "squared_error":
        errors = np.square(special.expit(outputs) - target)
    else:
        errors = -(target * special.log_expit(outputs) + (1 - target) * special.log_expit(-outputs))
    wanted = getattr(errors.reshape(6, -1), reduce)(axis=1).mean()
    assert found["autoencoder/reconstruction"] == pytest.approx(wanted, rel=1e-4)
    length = np.square(codes).sum(1).mean()
    assert found["autoencoder/code_squared_length"] == pytest.approx(length, rel=1e-4)
    assert found["autoencoder/loss"] == pytest.approx(wanted + 0.3 * length, rel=1e-4)
    for name in ("encoder", "decoder"):
        moved = jax.tree.map(lambda a, b: (a != b).any(), before.networks[name].params, after.networks[name].params)
        assert all(jax.tree.leaves(moved))


def test_images_from_minus_one_to_one_are_a_tanh_and_measured_in_units_of_the_range():
    model = model_of(image_range=(-1.0, 1.0), reduce="mean")
    x = 2 * images(5) - 1
    before, _, found = step(model, x)
    _, outputs = outputs_of(model, before, x)
    wanted = np.square(np.tanh(outputs) - np.asarray(x)).mean((1, 2, 3))
    assert found["autoencoder/reconstruction"] == pytest.approx(wanted.mean(), rel=1e-4)
    np.testing.assert_allclose(model.evaluate(before, {"image": x}, KEY)["mse"], wanted / 4, rtol=1e-4)
    np.testing.assert_allclose(model.reconstruct(before, x), np.tanh(outputs), atol=1e-6)
    for settings in ({"loss": "cross_entropy"}, {"corruption": Corruption()}):
        with pytest.raises(UsageError, match=r"in \[0, 1\]"):
            model_of(image_range=(-1.0, 1.0), **settings)


def test_what_it_can_do():
    model = model_of()
    assert isinstance(model, Reconstructs)
    assert isinstance(model, Evaluates)
    assert not isinstance(model, Samples)
    assert not isinstance(model, Denoises)
    assert isinstance(model_of(corruption=Corruption()), Denoises)
    x = images(5)
    state = model.init(KEY, {"image": x})
    codes = model.encode(state, x)
    assert codes.shape == (5, 3)
    np.testing.assert_allclose(model.decode(state, codes), model.reconstruct(state, x), atol=1e-6)
    assert model.image_range == (0, 1)


def test_measures_of_single_examples():
    model = model_of(loss="cross_entropy")
    x = images(5)
    state = model.init(KEY, {"image": x})
    codes, outputs = outputs_of(model, state, x)
    target = np.asarray(x, np.float64)
    squares = np.square(special.expit(outputs) - target).reshape(5, -1)
    entropies = -(target * special.log_expit(outputs) + (1 - target) * special.log_expit(-outputs))
    wanted = {
        "squared_error": squares.sum(1),
        "mse": squares.mean(1),
        "code_squared_length": np.square(codes).sum(1),
        "cross_entropy": entropies.sum((1, 2, 3)),
    }
    found = model.evaluate(state, {"image": x}, KEY)
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4)


# Noise


@pytest.mark.parametrize("kind", ["masking", "salt_and_pepper"])
def test_noise_of_whole_pixels(kind):
    x = 0.1 + 0.8 * images(50, (20, 20, 3))
    noisy = np.asarray(Corruption(kind, 0.3)(x, KEY))
    hit = (noisy != np.asarray(x)).all(-1)
    assert (hit == (noisy != np.asarray(x)).any(-1)).all()
    assert hit.mean() == pytest.approx(0.3, abs=0.015)
    if kind == "masking":
        assert (noisy[hit] == 0).all()
    else:
        assert set(np.unique(noisy[hit])) == {0, 1}
        assert noisy[hit].mean() == pytest.approx(0.5, abs=0.02)
        assert (noisy[hit].std(-1) == 0).all()
    # Anew in each image, and by another key.
    assert (hit[0] != hit[1]).any()
    assert (noisy != np.asarray(Corruption(kind, 0.3)(x, jax.random.key(1)))).any()


def test_gaussian_noise_is_cut():
    noisy = np.asarray(Corruption("gaussian", 0.1)(jnp.full((200, 8, 8, 1), 0.5), KEY))
    assert noisy.std() == pytest.approx(0.1, abs=0.002)
    assert noisy.mean() == pytest.approx(0.5, abs=0.002)
    noisy = np.asarray(Corruption("gaussian", 0.1)(jnp.zeros((200, 8, 8, 1)), KEY))
    assert noisy.min() == 0
    assert noisy.mean() == pytest.approx(0.1 / math.sqrt(2 * math.pi), abs=0.002)


def test_the_error_is_against_the_clean_image_of_what_was_made_of_the_noisy_one():
    """J09: with all pixels masked, the encoder sees nothing, but the target stays."""
    x = images(6)
    model = model_of(corruption=Corruption("masking", 1.0), reduce="sum")
    before, _, found = step(model, x)
    _, outputs = outputs_of(model, before, jnp.zeros_like(x))
    wanted = np.square(special.expit(outputs) - np.asarray(x)).sum((1, 2, 3)).mean()
    assert found["autoencoder/reconstruction"] == pytest.approx(wanted, rel=1e-4)
    again = step(model_of(corruption=Corruption("masking", 0.5)), x, jax.random.key(7))[2]
    other = step(model_of(corruption=Corruption("masking", 0.5)), x, jax.random.key(8))[2]
    assert again != other


def test_noise_before_and_after():
    x = images(6)
    model = model_of(corruption=Corruption("gaussian", 0.2))
    state = model.init(KEY, {"image": x})
    found = model.evaluate(state, {"image": x}, KEY)
    noisy = np.asarray(model.corrupt(x, KEY))
    mse = np.square(noisy - np.asarray(x)).mean((1, 2, 3))
    np.testing.assert_allclose(found["psnr_corrupted"], -10 * np.log10(mse), rtol=1e-4)
    np.testing.assert_allclose(found["psnr_restored"], psnr(model.reconstruct(state, jnp.asarray(noisy)), x), rtol=1e-4)
    # Clean images stay what the other measures are of.
    np.testing.assert_allclose(found["mse"], np.square(model.reconstruct(state, x) - x).mean((1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(psnr(x, x), 100, rtol=1e-6)


# Switches


def test_unpooling_by_switches_reconstructs_and_does_not_decode():
    encoder = PoolingEncoder(4, (4, 2), return_switches=True)
    decoder = UnpoolingDecoder((2, 2, 2), (2, 4, 1), "switch")
    model = Autoencoder(encoder=encoder, decoder=decoder, optimizer=optax.sgd(0.1), codes_decode=False)
    x = images(3, (8, 8, 1))
    before, after, _ = step(model, x)
    assert model.reconstruct(after, x).shape == x.shape
    codes = model.encode(before, x)
    assert codes.shape == (3, 4)
    with pytest.raises(UsageError, match="pooling_repeat"):
        model.decode(before, codes)


# Learning


@pytest.fixture(scope="module")
def digits():
    """Training and test images of 8x8, flat, in [0, 1]."""
    sources = (load_digits(DataSettings(size=8), split) for split in ("train", "test"))
    return tuple(source.take(np.arange(len(source)))["image"].astype(np.float32) / 255 for source in sources)


def pca_error(train, test, components):
    """Mean over the test images of the squared error, summed over the pixels."""
    train, test = (x.reshape(len(x), -1).astype(np.float64) for x in (train, test))
    mean = train.mean(0)
    _, _, axes = np.linalg.svd(train - mean, full_matrices=False)
    kept = axes[:components]
    return np.square(test - mean - (test - mean) @ kept.T @ kept).sum(1).mean()


def learn(model, train, steps, batch=64):
    state = jit(model.init)(jax.random.key(1), {"image": train[:batch]})
    generator = np.random.default_rng(0)
    batches = jnp.asarray(train)[generator.integers(0, len(train), (steps, batch))]

    @jax.jit
    def run(state):
        def one(state, numbered):
            number, x = numbered
            return model.step(state, {"image": x[None]}, jax.random.fold_in(KEY, number))[0], None

        return jax.lax.scan(one, state, (jnp.arange(steps), batches))[0]

    return run(state)


def test_two_numbers_say_more_than_two_principal_components(digits):
    """J06's comparison, and Hinton and Salakhutdinov 2006, with a small network."""
    train, test = digits
    model = model_of(train.shape[1:], 2, (64, 32), optimizer=optax.adam(3e-3), reduce="sum")
    state = learn(model, train, 1500)
    found = model.evaluate(state, {"image": jnp.asarray(test)}, KEY)["squared_error"].mean()
    wanted = pca_error(train, test, 2)
    assert wanted == pytest.approx(1.045, abs=0.01)
    assert found < 0.8 * wanted  # seen: 0.694


def test_the_penalty_draws_codes_to_the_origin(digits):
    """J07."""
    train, test = digits
    lengths, centres = [], []
    for penalty in (0.0, 0.1):
        model = model_of(train.shape[1:], 2, (32,), optimizer=optax.adam(3e-3), reduce="sum", code_penalty=penalty)
        codes = np.asarray(model.encode(learn(model, train, 500), jnp.asarray(test)))
        lengths.append(np.square(codes).sum(1).mean())
        centres.append(np.linalg.norm(codes.mean(0)))
    # Seen: 57 and 0.24, and the mean of the codes 6.9 and 0.05 from the origin.
    assert lengths[1] < lengths[0] / 20
    assert centres[1] < centres[0] / 5


def test_noise_is_learned_to_be_taken_away(digits):
    """J09."""
    train, test = digits
    noise = Corruption("gaussian", 0.3)
    model = model_of(train.shape[1:], 16, (64,), optimizer=optax.adam(3e-3), reduce="sum", corruption=noise)
    found = model.evaluate(learn(model, train, 1000), {"image": jnp.asarray(test)}, KEY)
    gain = (found["psnr_restored"] - found["psnr_corrupted"]).mean()
    assert gain > 5  # seen: 7.5, 7.3, 7.2
