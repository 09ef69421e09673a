"""The ELBO against closed forms, an integral over the latent line, and Monte-Carlo."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import Bernoulli, DiscretisedLogistic, Gaussian, SquaredError, dequantise
from gdl_jax.models.vae import VAE, reparameterize

# Everything here is compiled once and run in microseconds; this halves the time to compile.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

KEY = jax.random.key(0)


class Told(nn.Module):
    """An encoder that gives what it is told, whatever it sees."""

    mean: tuple[float, ...]
    log_variance: tuple[float, ...]

    @nn.compact
    def __call__(self, x, *, train):
        return tuple(
            jnp.broadcast_to(self.param(name, lambda _, v=value: jnp.array(v)), (len(x), len(value)))
            for name, value in (("mean", self.mean), ("log_variance", self.log_variance))
        )


class Linear(nn.Module):
    """A decoder whose logits are linear in z."""

    shape: tuple[int, int, int]
    scale: float = 1.0

    @nn.compact
    def __call__(self, z, *, train):
        normal = nn.initializers.normal(self.scale)
        return nn.Dense(math.prod(self.shape), kernel_init=normal, bias_init=normal)(z).reshape(-1, *self.shape)


class Seeing(nn.Module):
    """An encoder with dropout and running statistics, so that training is not like evaluation."""

    latent: int
    dropout_rate: float = 0.0
    norm: bool = False

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.tanh(nn.Dense(4)(x.reshape(len(x), -1)))
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Dropout(self.dropout_rate)(x, deterministic=not train)
        return nn.Dense(self.latent)(x), nn.Dense(self.latent)(x)


def images(num, shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), (num, *shape))


def model_of(encoder, decoder, latent, **settings) -> VAE:
    return VAE(encoder=encoder, decoder=decoder, optimizer=optax.sgd(0.1), latent_size=latent, **settings)


def values(metrics) -> dict[str, float]:
    return {name: mean.value() for name, mean in metrics.means.items()}


def step(model, x, key=KEY):
    """State before, state after and metrics, of one step in one program."""

    @jit
    def run(x, key):
        state = model.init(jax.random.key(1), {"image": x})
        return state, *model.step(state, {"image": x[None]}, key)

    before, after, metrics = run(x, key)
    return before, after, values(metrics)


# Published values


@pytest.mark.parametrize(("reduce", "kl", "weight"), [("sum", 0.656110, 1.0), ("mean", 0.328055, 4.0)])
def test_jiangs_values_through_a_step(reduce, kl, weight):
    """J11: all logits 0 give 784 ln 2, and the KL of this mean and log-variance is known; Jiang's own is the mean."""
    shape = (28, 28, 1)
    encoder = Told((0.5, -1.0), (0.2, -0.3))
    model = model_of(encoder, Linear(shape, 0.0), 2, kl_reduce=reduce, kl_weight=weight)
    _, _, found = step(model, images(4, shape))
    assert found["vae/reconstruction"] == pytest.approx(543.427, rel=3e-5)  # a sum of 784 in float32
    assert found["vae/kl"] == pytest.approx(kl, abs=1e-6)
    assert found["vae/loss"] == pytest.approx(found["vae/reconstruction"] + weight * kl, rel=1e-6)


def test_fosters_weighted_squared_error_through_a_step():
    """F15: R times the mean over the pixels; all logits 0 are grey images of 0.5."""
    shape, weight = (4, 4, 3), 30.0
    x = images(8, shape)
    likelihood = SquaredError(weight)
    model = model_of(Told((0.5, -1.0), (0.2, -0.3)), Linear(shape, 0.0), 2, likelihood=likelihood)
    state, _, found = step(model, x)
    wanted = weight * np.square(np.asarray(x, np.float64) - 0.5).mean((1, 2, 3))
    assert found["vae/reconstruction"] == pytest.approx(wanted.mean(), rel=1e-5)
    assert found["vae/loss"] == pytest.approx(wanted.mean() + 0.656110, rel=1e-5)
    np.testing.assert_allclose(jit(model.evaluate)(state, {"image": x}, KEY)["reconstruction"], wanted, rtol=1e-5)


def test_lanhams_reductions_through_a_step():
    """LA15: cross-entropy summed over batch and pixels plus the mean of the KL over batch and latents, per image."""
    shape, batch = (4, 4, 3), 32
    told = Told((0.5, -1.0), (0.2, -0.3))
    model = model_of(told, Linear(shape, 0.0), 2, kl_reduce="mean", kl_weight=1 / batch)
    _, _, found = step(model, images(batch, shape))
    wanted = (batch * 48 * np.log(2) + 0.328055) / batch
    assert found["vae/loss"] == pytest.approx(wanted, rel=3e-5)
    assert found["vae/loss"] - found["vae/reconstruction"] == pytest.approx(0.328055 / batch, rel=1e-3)


def test_the_elbo_is_what_is_descended_unless_told():
    model = model_of(Told((0.0,), (0.0,)), Linear((2, 2, 1)), 1)
    assert model.likelihood == Bernoulli()
    assert SquaredError().weight == 1000
    assert (model.kl_reduce, model.kl_weight, model.kl_warmup_steps, model.free_bits) == ("sum", 1, 0, 0)
    assert model.importance_samples == 1


# The evidence


@pytest.fixture(scope="module")
def line():
    """A latent space of one dimension, where the evidence is an integral that NumPy can do; two binary images."""
    shape, mean, log_variance = (2, 3, 1), (0.4,), (-0.9,)
    model = model_of(Told(mean, log_variance), Linear(shape, 1.5), 1)
    x = (images(2, shape) > 0.5).astype(jnp.float32)
    state = model.init(jax.random.key(1), {"image": x})

    def evaluate(key):
        return model.evaluate(state, {"image": x}, key)

    draws = jit(jax.vmap(evaluate))(jax.random.split(KEY, 20_000))
    draws = {name: np.asarray(value, np.float64) for name, value in draws.items()}

    dense = jax.device_get(state.networks["decoder"].params["Dense_0"])
    z = np.linspace(-12, 12, 20_001)
    logits = z[:, None] * dense["kernel"][0] + dense["bias"]
    ones = np.asarray(x, np.float64).reshape(2, 1, -1)
    log_likelihood = (ones * special.log_expit(logits) + (1 - ones) * special.log_expit(-logits)).sum(2)
    log_q = stats.norm(mean[0], np.exp(log_variance[0] / 2)).logpdf(z)
    log_prior = stats.norm.logpdf(z)

    class Line(tuple):
        def log_prob(self, samples):
            draw = jit(jax.vmap(lambda key: model.log_prob(state, x, key, samples)))
            return draw(jax.random.split(KEY, 4000))

    return Line((draws, z, log_likelihood, log_prior, log_q))


def integrate(f, z):
    return np.trapezoid(f, z, axis=-1)


def test_the_terms_of_the_elbo_are_their_integrals(line):
    draws, z, log_likelihood, log_prior, log_q = line
    error = 5 * draws["reconstruction"].std(0) / np.sqrt(20_000)
    wanted = integrate(-np.exp(log_q) * log_likelihood, z)
    assert (abs(draws["reconstruction"].mean(0) - wanted) < error).all()
    assert (error < 0.1).all()
    # The KL is exact: the same in every draw.
    np.testing.assert_allclose(draws["kl"], integrate(np.exp(log_q) * (log_q - log_prior), z), rtol=1e-5)
    np.testing.assert_allclose(draws["elbo"], -draws["reconstruction"] - draws["kl"], rtol=1e-5)


def test_the_elbo_misses_the_evidence_by_the_divergence_from_the_posterior(line):
    """Kingma and Welling 2014, eq. 1: log p(x) = ELBO + KL(q(z|x) || p(z|x))."""
    draws, z, log_likelihood, log_prior, log_q = line
    evidence = np.log(integrate(np.exp(log_likelihood + log_prior), z))
    log_posterior = log_likelihood + log_prior - evidence[:, None]
    gap = integrate(np.exp(log_q) * (log_q - log_posterior), z)
    error = 5 * draws["elbo"].std(0) / np.sqrt(20_000)
    assert (abs(draws["elbo"].mean(0) + gap - evidence) < error).all()
    assert (gap > 2 * error).all()


def test_log_prob_is_the_importance_weighted_bound(line):
    """Burda et al. 2016, theorem 1: the ELBO with one sample, nearer to the evidence with more, and never beyond it."""
    _, z, log_likelihood, log_prior, log_q = line
    evidence = np.log(integrate(np.exp(log_likelihood + log_prior), z))
    gap = evidence - integrate(np.exp(log_q) * (log_likelihood + log_prior - log_q), z)
    missed, errors = [], []
    for samples in (1, 4, 64):
        draws = np.asarray(line.log_prob(samples), np.float64)
        missed.append(evidence - draws.mean(0))
        errors.append(5 * draws.std(0) / np.sqrt(len(draws)))
    assert (abs(missed[0] - gap) < errors[0]).all()
    assert (missed[0] - errors[0] > missed[1] + errors[1]).all()
    assert (missed[1] - errors[1] > missed[2] + errors[2]).all()
    assert (missed[2] > -errors[2]).all()
    assert (missed[2] < gap / 4).all()


# Training


@pytest.mark.parametrize("likelihood", [Bernoulli(), SquaredError(7.0)])
def test_a_step_descends_the_loss_of_its_own_latents(likelihood):
    """Gradients against finite differences of a loss in float64, with the noise that the step drew."""
    shape, latent = (2, 2, 1), 2
    mean, log_variance = (0.3, -0.7), (0.1, -0.6)
    model = model_of(Told(mean, log_variance), Linear(shape), latent, likelihood=likelihood, kl_weight=2.5)
    x = images(3, shape)
    before, after, found = step(model, x)

    encoder, decoder = (jax.device_get(before.networks[name].params) for name in ("encoder", "decoder"))
    eps = None

    def loss(m, s, kernel, bias):
        logits = (m + np.exp(s / 2) * eps) @ kernel + bias
        target = np.asarray(x, np.float64).reshape(3, -1)
        if likelihood == Bernoulli():
            reconstruction = -(target * special.log_expit(logits) + (1 - target) * special.log_expit(-logits)).sum(1)
        else:
            reconstruction = 7 * np.square(target - special.expit(logits)).mean(1)
        return reconstruction.mean() + 2.5 * 0.5 * (m**2 + np.exp(s) - 1 - s).sum()

    # The same noise by the same key: a step's first phase, its first repeat, the first of three parts.
    key = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), 3)[0]
    eps = np.asarray(reparameterize(jnp.zeros((3, 2)), jnp.zeros((3, 2)), key), np.float64)
    dense = decoder["Dense_0"]
    point = [
        np.asarray(v, np.float64) for v in (encoder["mean"], encoder["log_variance"], dense["kernel"], dense["bias"])
    ]
    assert found["vae/loss"] == pytest.approx(loss(*point), rel=1e-5)

    def slope(number):
        result = np.zeros_like(point[number])
        for index in np.ndindex(result.shape):
            sides = []
            for sign in (1, -1):
                moved = [p.copy() for p in point]
                moved[number][index] += sign * 1e-5
                sides.append(loss(*moved))
            result[index] = (sides[0] - sides[1]) / 2e-5
        return result

    new_encoder, new_decoder = (jax.device_get(after.networks[name].params) for name in ("encoder", "decoder"))
    moved = [new_encoder["mean"], new_encoder["log_variance"], *(new_decoder["Dense_0"][n] for n in ("kernel", "bias"))]
    for number, new in enumerate(moved):
        np.testing.assert_allclose((point[number] - new) / 0.1, slope(number), rtol=2e-3, atol=1e-4)


def test_values_per_example_average_to_the_training_loss_in_expectation():
    """Over 400 draws of z each, within five standard errors; the terms without z are equal in every draw."""
    shape = (4, 4, 1)
    model = model_of(Seeing(2), Linear(shape), 2)
    x = images(6, shape)
    state = jit(model.init)(jax.random.key(1), {"image": x})

    @jit
    @jax.vmap
    def both(key):
        _, metrics = model.step(state, {"image": x[None]}, key)
        return model.evaluate(state, {"image": x}, key), {n: m.total for n, m in metrics.means.items()}

    examples, steps = jax.device_get(both(jax.random.split(KEY, 400)))
    assert {name: value.shape for name, value in examples.items()} == dict.fromkeys(
        ("elbo", "reconstruction", "kl", "log_prob", Bernoulli.bits), (400, 6)
    )
    np.testing.assert_allclose(examples["kl"].mean(1), steps["vae/kl"], rtol=1e-5)
    for name, sign in (("reconstruction", 1), ("elbo", -1)):
        a, b = sign * examples[name].mean(1), steps["vae/loss" if name == "elbo" else f"vae/{name}"]
        error = np.sqrt((a.var() + b.var()) / 400)
        assert abs(a.mean() - b.mean()) < 5 * error
        assert error < 0.02 * abs(a.mean())
    # Each example has noise of its own.
    assert len(np.unique(examples["reconstruction"])) == examples["reconstruction"].size


def test_evaluation_does_not_depend_on_what_was_weighted():
    shape = (4, 4, 1)
    model = model_of(Seeing(3), Linear(shape), 3)
    x = images(4, shape)
    state = jit(model.init)(jax.random.key(1), {"image": x})
    other = replace(model, kl_reduce="mean", kl_weight=9.0)
    wanted, found = jit(lambda state: [m.evaluate(state, {"image": x}, KEY) for m in (model, other)])(state)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_training_uses_dropout_and_the_batchs_statistics_and_evaluation_neither():
    shape = (4, 4, 1)
    model = model_of(Seeing(2, dropout_rate=0.5, norm=True), Linear(shape), 2)
    x = images(6, shape)
    run = jit(lambda state, key: model.step(state, {"image": x[None]}, key))
    state = jit(model.init)(jax.random.key(1), {"image": x})
    (one, first), (_, again), (_, second) = (run(state, jax.random.key(i)) for i in (0, 0, 1))
    assert values(first) == values(again)
    # The KL has no z in it: only dropout can change it.
    assert values(first)["vae/kl"] != values(second)["vae/kl"]
    statistics = one.networks["encoder"].collections["batch_stats"]["BatchNorm_0"]["mean"]
    assert abs(statistics).max() > 0
    encode = jit(model.encode)
    np.testing.assert_array_equal(encode(state, x), encode(state, x))
    # Each image is encoded on its own.
    np.testing.assert_allclose(encode(one, x)[:2], encode(one, x[:2]), atol=1e-6)


# Options


def test_the_weight_of_the_kl_rises_in_a_straight_line():
    shape = (2, 2, 1)
    model = model_of(Told((0.5, -1.0), (0.2, -0.3)), Linear(shape, 0.0), 2, kl_weight=3.0, kl_warmup_steps=4)
    x = images(4, shape)
    state = model.init(jax.random.key(1), {"image": x})
    run = jit(lambda state: model.step(state, {"image": x[None]}, KEY)[1])
    weights = []
    for number in (0, 1, 2, 4, 9):
        found = values(run(state.replace(step=jnp.int32(number))))
        weights.append((found["vae/loss"] - found["vae/reconstruction"]) / found["vae/kl"])
    np.testing.assert_allclose(weights, [0, 0.75, 1.5, 3, 3], atol=1e-5)


@pytest.mark.parametrize(("reduce", "kl"), [("sum", 0.2 + 0.520409), ("mean", (0.2 + 0.520409) / 2)])
def test_below_its_free_bits_a_dimension_costs_the_same_and_has_no_gradient(reduce, kl):
    """J11's two dimensions have 0.135701 and 0.520409 nats."""
    shape = (2, 2, 1)
    model = model_of(Told((0.5, -1.0), (0.2, -0.3)), Linear(shape, 0.0), 2, free_bits=0.2, kl_reduce=reduce)
    before, after, found = step(model, images(4, shape))
    assert found["vae/loss"] - found["vae/reconstruction"] == pytest.approx(kl, abs=1e-5)
    moved = after.networks["encoder"].params["mean"] - before.networks["encoder"].params["mean"]
    # The decoder sees no z, so that the KL alone moves the mean.
    assert moved[0] == 0
    assert moved[1] > 0.01


def test_free_bits_are_of_the_mean_over_the_batch():
    shape = (4, 4, 1)
    model = model_of(Seeing(3), Linear(shape), 3, free_bits=0.3)
    x = images(6, shape)
    before, _, found = step(model, x)
    mean, log_variance = model.posterior(before, x)
    per_dimension = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    wanted = np.maximum(np.asarray(per_dimension).mean(0), 0.3).sum()
    assert found["vae/loss"] - found["vae/reconstruction"] == pytest.approx(wanted, abs=1e-4)
    assert wanted > found["vae/kl"] + 0.05


def test_the_importance_weighted_bound_is_what_is_descended():
    """Values of a step with the noise that it drew, against NumPy; and it is no less tight than the ELBO."""
    shape, latent, samples = (2, 2, 1), 2, 5
    mean, log_variance = (0.3, -0.7), (0.1, -0.6)
    model = model_of(Told(mean, log_variance), Linear(shape), latent, importance_samples=samples)
    x = images(3, shape)
    before, after, found = step(model, x)
    key = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), 3)[0]
    eps = np.asarray(reparameterize(jnp.zeros((15, 2)), jnp.zeros((15, 2)), key), np.float64)
    dense = jax.device_get(before.networks["decoder"].params["Dense_0"])
    m, deviation = np.array(mean), np.exp(np.array(log_variance) / 2)
    z = m + deviation * eps
    logits = z @ dense["kernel"].astype(np.float64) + dense["bias"]
    target = np.repeat(np.asarray(x, np.float64).reshape(3, -1), samples, axis=0)
    log_likelihood = (target * special.log_expit(logits) + (1 - target) * special.log_expit(-logits)).sum(1)
    log_weights = log_likelihood + (stats.norm.logpdf(z) - stats.norm(m, deviation).logpdf(z)).sum(1)
    bound = special.logsumexp(log_weights.reshape(3, samples), axis=1) - np.log(samples)
    assert found["vae/loss"] == pytest.approx(-bound.mean(), rel=1e-5)
    assert bound.mean() > log_weights.mean()
    assert (after.networks["encoder"].params["log_variance"] != before.networks["encoder"].params["log_variance"]).all()


@pytest.mark.parametrize(
    "setting", [{"kl_weight": 2.0}, {"kl_reduce": "mean"}, {"kl_warmup_steps": 1}, {"free_bits": 1.0}]
)
def test_no_kl_to_weigh_in_an_importance_weighted_bound(setting):
    with pytest.raises(UsageError, match="leave --kl-reduce"):
        model_of(Told((0.0,), (0.0,)), Linear((2, 2, 1)), 1, importance_samples=2, **setting)


LIKELIHOODS = [Gaussian(0.2), Gaussian(), DiscretisedLogistic(0.1), DiscretisedLogistic()]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
def test_a_step_and_an_evaluation_of_each_likelihood(likelihood):
    """Both take the same targets of it; bits per dimension are those of the ELBO, under a name with the convention."""
    shape = (4, 4, 3)
    outputs = (4, 4, 3 * likelihood.outputs_per_channel)
    model = model_of(Told((0.5, -1.0), (-40.0, -40.0)), Linear(outputs, 0.1), 2, likelihood=likelihood)
    x = jnp.round(255 * images(6, shape)) / 255
    state, _, found = step(model, x)
    # Without variance in q(z|x), the decoder's outputs are the same for every draw.
    decoded = model.decoder.apply(state.networks["decoder"].variables(), jnp.array([[0.5, -1.0]] * 6), train=False)
    values = jit(model.evaluate)(state, {"image": x}, KEY)
    if isinstance(likelihood, Gaussian):
        # The noise of step and evaluation are two draws of (k + u) / 256.
        spread = [float(likelihood.nll(decoded, dequantise(x, jax.random.key(i))).mean()) for i in range(20)]
        assert found["vae/reconstruction"] == pytest.approx(np.mean(spread), abs=6 * float(np.std(spread)))
        assert float(values["reconstruction"].mean()) == pytest.approx(np.mean(spread), abs=6 * float(np.std(spread)))
        offset = 8
    else:
        wanted = likelihood.nll(decoded, x)
        assert found["vae/reconstruction"] == pytest.approx(float(wanted.mean()), rel=1e-5)
        np.testing.assert_allclose(values["reconstruction"], wanted, rtol=1e-5)
        offset = 0
    bits = -np.asarray(values["elbo"], np.float64) / (48 * np.log(2)) + offset
    np.testing.assert_allclose(values[likelihood.bits], bits, rtol=1e-5)
    assert "256_levels" in likelihood.bits
    assert "dequantised" in likelihood.bits or not isinstance(likelihood, Gaussian)
    samples = jit(model.sample, static_argnums=2)(state, KEY, 3)
    assert samples.shape == (3, *shape)
    assert samples.min() >= 0
    assert samples.max() <= 1


def test_every_measure_of_the_likelihood_has_a_protocol():
    model = model_of(Seeing(2), Linear((2, 2, 1)), 2, likelihood=Gaussian(0.1), evaluation_samples=3)
    assert set(model.protocol()) == {"elbo", "log_prob", Gaussian.bits}
    assert "uniformly dequantised" in model.protocol()["elbo"]
    assert "3 samples" in model.protocol()["log_prob"]


def test_a_likelihood_without_its_constant_has_no_bits():
    shape = (2, 2, 1)
    model = model_of(Seeing(2), Linear(shape), 2, likelihood=SquaredError())
    x = images(2, shape)
    state = model.init(jax.random.key(1), {"image": x})
    assert set(model.evaluate(state, {"image": x}, KEY)) == {"elbo", "reconstruction", "kl", "log_prob"}


# Latent vectors, codes, pictures


def test_moments_and_slopes_of_reparameterised_draws():
    mean, log_variance = jnp.array([0.5, -2.0, 0.0]), jnp.array([0.0, 1.4, -3.0])
    many = [jnp.broadcast_to(v, (100_000, 3)) for v in (mean, log_variance)]
    z = np.asarray(reparameterize(*many, KEY), np.float64)
    deviation = np.exp(np.asarray(log_variance, np.float64) / 2)
    np.testing.assert_allclose((z.mean(0) - mean) / deviation, 0, atol=5 / np.sqrt(1e5))
    np.testing.assert_allclose(z.std(0) / deviation, 1, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(3), atol=0.02)
    pull = jax.vjp(lambda m, s: reparameterize(m, s, KEY), *many)[1]
    by_mean, by_log_variance = pull(jnp.ones_like(many[0]))
    np.testing.assert_array_equal(by_mean, 1)
    np.testing.assert_allclose(by_log_variance, (z - np.asarray(mean)) / 2, rtol=1e-3, atol=1e-5)


def test_codes_pictures_and_samples():
    shape = (4, 4, 3)
    model = model_of(Seeing(2), Linear(shape, 3.0), 2)
    x = images(5, shape)
    state = jit(model.init)(jax.random.key(1), {"image": x})
    encoder, decoder = (state.networks[name].variables() for name in ("encoder", "decoder"))
    codes, pictures = jit(lambda s: (model.encode(s, x), model.reconstruct(s, x)))(state)
    assert codes.shape == (5, 2)
    np.testing.assert_allclose(codes, model.encoder.apply(encoder, x, train=False)[0], atol=1e-6)
    assert pictures.shape == x.shape
    np.testing.assert_allclose(pictures, special.expit(model.decoder.apply(decoder, codes, train=False)), atol=1e-6)
    samples = jit(model.sample, static_argnums=2)(state, KEY, 9)
    assert samples.shape == (9, *shape)
    assert samples.dtype == jnp.float32
    assert 0 <= samples.min() < 0.1
    assert 0.9 < samples.max() <= 1
    np.testing.assert_allclose(samples, model.decode(state, model.sample_latents(KEY, 9)), atol=1e-6)
    assert model.image_range == (0, 1)


def test_the_prior_is_standard_normal():
    z = np.asarray(model_of(Seeing(3), Linear((2, 2, 1)), 3).sample_latents(KEY, 20_000), np.float64)
    np.testing.assert_allclose(z.mean(0), 0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.05)


def test_both_networks_are_trained_by_one_update():
    shape = (4, 4, 1)
    before, after, found = step(model_of(Seeing(2), Linear(shape), 2), images(4, shape))
    for name in ("encoder", "decoder"):
        moved = jax.tree.map(
            lambda a, b: bool((a != b).any()), before.networks[name].params, after.networks[name].params
        )
        assert all(jax.tree.leaves(moved))
        assert before.networks[name].ema is None
    assert set(found) == {"vae/loss", "vae/reconstruction", "vae/kl", "vae/gradient_norm"}
    assert found["vae/loss"] == pytest.approx(found["vae/reconstruction"] + found["vae/kl"], rel=1e-6)
