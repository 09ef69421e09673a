"""The alternating step, on dense networks: they compile in a tenth of the time of convolutions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.losses.adversarial import non_saturating
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.steps.devices import make_mesh, replicated, split_along
from gdl_jax.steps.phases import run_phases

# Everything here is compiled once and run in microseconds; this halves the time to compile.
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

BATCH, LATENT = 16, 3
REAL = jax.random.uniform(jax.random.key(1), (2, BATCH, 4, 4, 1), minval=-1)
Z = jax.random.normal(jax.random.key(2), (BATCH, LATENT))
KEY = jax.random.key(3)


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, *, train):
        x = nn.tanh(BatchNorm()(nn.Dense(5)(z), train=train))
        return nn.tanh(nn.Dense(16)(x)).reshape(-1, 4, 4, 1)


class Discriminator(nn.Module):
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.leaky_relu(BatchNorm()(nn.Dense(6)(x.reshape(len(x), -1)), train=train))
        return nn.Dense(1)(nn.Dropout(self.dropout_rate)(x, deterministic=not train))[:, 0]


TINY = GAN(
    generator=Generator(),
    discriminator=Discriminator(),
    optimizers={"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.2)},
    loss=non_saturating(),
    latent_size=LATENT,
)


class KnownLatents(GAN):
    """Always the same latent vectors, so that a test can make the same images."""

    def sample_latents(self, key, num):
        return Z[:num]


def known(model: GAN) -> GAN:
    return KnownLatents(**{name: getattr(model, name) for name in model.__dataclass_fields__})


@pytest.fixture(scope="module")
def state():
    return jit(TINY.init)(jax.random.key(0), {"image": REAL[0]})


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def assert_close(found, wanted, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(partial(np.testing.assert_allclose, **tolerance), found, wanted)


@pytest.fixture(scope="module")
def phases(state):
    """The state after the discriminator's phase, after the generator's, and after the step of both."""
    model = known(TINY)

    @jit
    def run(state):
        batches = {"image": REAL[:1]}
        one, two = ([phase] for phase in model.phases())
        return (
            run_phases(one, model.optimizers, state, batches, KEY),
            run_phases(two, model.optimizers, state, batches, KEY),
            model.step(state, batches, KEY),
        )

    return run(state)


@pytest.fixture(scope="module")
def by_hand(state):
    """Gradients and running statistics, from the definitions in Goodfellow et al. 2014 with D = sigmoid(logit)."""
    g, d = (state.networks[name] for name in ("generator", "discriminator"))
    make = partial(TINY.generator.apply, train=True, mutable=["batch_stats"])
    judge = partial(TINY.discriminator.apply, train=True, mutable=["batch_stats"])

    def probability(params, images):
        return jax.nn.sigmoid(judge({"params": params} | d.collections, images)[0])

    def value(params):
        fake, _ = make({"params": g.params} | g.collections, Z)
        return -jnp.log(probability(params, REAL[0])).mean() - jnp.log(1 - probability(params, fake)).mean()

    def generator_loss(params, judge_params):
        fake, _ = make({"params": params} | g.collections, Z)
        return -jnp.log(probability(judge_params, fake)).mean()

    @jit
    def run():
        d_loss, d_gradients = jax.value_and_grad(value)(d.params)
        updated = jax.tree.map(lambda p, x: p - 0.2 * x, d.params, d_gradients)
        first, later = (jax.value_and_grad(generator_loss)(g.params, judge) for judge in (d.params, updated))
        return {
            "discriminator": (d_loss, d_gradients),
            "generator": first,
            "generator against the updated": later,
            "real statistics": judge({"params": d.params} | d.collections, REAL[0])[1],
            "latent statistics": make({"params": g.params} | g.collections, Z)[1],
        }

    return run()


def gradient(before, after, rate):
    """What plain gradient descent descended."""
    return jax.tree.map(lambda a, b: (a - b) / rate, before.params, after.params)


def test_the_discriminators_phase(state, phases, by_hand):
    new, metrics = phases[0]
    assert same(new.networks["generator"], state.networks["generator"])
    loss, gradients = by_hand["discriminator"]
    found = gradient(state.networks["discriminator"], new.networks["discriminator"], 0.2)
    assert_close(found, gradients, rtol=1e-3, atol=1e-5)
    assert metrics.means["discriminator/loss"].value() == pytest.approx(float(loss), rel=1e-5)
    # Of the call on real images alone: those of generated ones, or of both one after the other, are others.
    assert_close(new.networks["discriminator"].collections, by_hand["real statistics"], rtol=1e-5, atol=1e-6)
    assert not same(new.networks["discriminator"].collections, state.networks["discriminator"].collections)


def test_the_generators_phase(state, phases, by_hand):
    new, metrics = phases[1]
    assert same(new.networks["discriminator"], state.networks["discriminator"])
    loss, gradients = by_hand["generator"]
    assert_close(gradient(state.networks["generator"], new.networks["generator"], 0.1), gradients, rtol=1e-3, atol=1e-5)
    assert metrics.means["generator/loss"].value() == pytest.approx(float(loss), rel=1e-5)
    assert_close(new.networks["generator"].collections, by_hand["latent statistics"], rtol=1e-5, atol=1e-6)


def test_a_step_is_the_discriminator_and_then_the_generator_against_the_new_one(state, phases, by_hand):
    new, metrics = phases[2]
    assert_close(new.networks["discriminator"], phases[0][0].networks["discriminator"], rtol=1e-6, atol=1e-7)
    loss, gradients = by_hand["generator against the updated"]
    assert_close(gradient(state.networks["generator"], new.networks["generator"], 0.1), gradients, rtol=1e-3, atol=1e-5)
    assert metrics.means["generator/loss"].value() == pytest.approx(float(loss), rel=1e-4)
    assert abs(float(loss) - float(by_hand["generator"][0])) > 1e-3
    assert int(new.step) == 1
    assert set(metrics.means) == {
        *("discriminator/loss", "discriminator/gradient_norm", "discriminator/logit_real", "discriminator/logit_fake"),
        *("discriminator/accuracy_real", "discriminator/accuracy_fake"),
        *("discriminator/real/loss", "discriminator/fake/loss"),
        *("generator/loss", "generator/gradient_norm"),
    }


# Latent vectors


def test_uniform_latents_lie_between_minus_one_and_one():
    z = np.asarray(replace(TINY, latent_distribution="uniform").sample_latents(KEY, 20_000))
    assert z.shape == (20_000, LATENT)
    assert z.min() >= -1
    assert z.max() < 1
    assert (z.min(), z.max()) == pytest.approx((-1, 1), abs=1e-3)
    np.testing.assert_allclose(z.mean(0), 0, atol=5 * np.sqrt(1 / 3 / 20_000))
    np.testing.assert_allclose(z.var(0), 1 / 3, rtol=0.05)


def test_normal_latents_have_the_moments_of_a_standard_normal():
    z = np.asarray(TINY.sample_latents(KEY, 20_000), np.float64)
    np.testing.assert_allclose(z.mean(0), 0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(z, rowvar=False), np.eye(LATENT), atol=0.05)
    np.testing.assert_allclose((z**4).mean(0), 3, rtol=0.1)
    assert abs(z).max() > 3


# Sampling and averages


@pytest.fixture(scope="module")
def trained(state):
    """Two steps with an average of the parameters: after the first and after the second."""
    model = known(replace(TINY, ema_decay=0.75))
    state = state.replace(step=jnp.int32(1000))  # Past the average's warm-up.
    generator = state.networks["generator"]
    average = jax.tree.map(lambda x: x + 0, generator.params)
    state = state.replace(networks=state.networks | {"generator": generator.replace(ema=average)})
    step = jit(model.step)
    one, _ = step(state, {"image": REAL[:1]}, KEY)
    two, _ = step(one, {"image": REAL[1:]}, KEY)
    return model, one, two


def test_the_average_follows_the_generators_parameters(state, trained):
    _, one, two = trained
    before, first, second = (s.networks["generator"] for s in (state, one, two))
    mix = partial(jax.tree.map, lambda e, p: 0.75 * e + 0.25 * p)
    assert_close(first.ema, mix(before.params, first.params), rtol=1e-5, atol=1e-6)
    assert_close(second.ema, mix(first.ema, second.params), rtol=1e-5, atol=1e-6)
    assert two.networks["discriminator"].ema is None


def test_the_average_has_no_part_in_training(phases, trained):
    new = phases[2][0].networks["generator"]
    assert new.ema is None
    assert_close(new, trained[1].networks["generator"].replace(ema=None), rtol=1e-6, atol=1e-7)


def test_init_makes_the_average_a_copy_of_the_generator_alone():
    state = jit(replace(TINY, ema_decay=0.9).init)(KEY, {"image": REAL[0]})
    assert same(state.networks["generator"].ema, state.networks["generator"].params)
    assert state.networks["discriminator"].ema is None
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(pointers)) == len(pointers)
    other = jit(TINY.init)(jax.random.key(8), {"image": REAL[0]})
    assert not same(other.networks["generator"].params, state.networks["generator"].params)


def test_samples_come_from_the_average_and_the_running_statistics(trained):
    model, _, state = trained
    generator = state.networks["generator"]
    decode = jit(model.decode)

    @partial(jit, static_argnums=1)
    def make(params, train):
        variables = {"params": params} | generator.collections
        return model.generator.apply(variables, Z, train=train, mutable=["batch_stats"])[0]

    np.testing.assert_allclose(decode(state, Z), make(generator.ema, False), atol=1e-6)
    # The tolerance is far below what parameters without average, or the batch's statistics, would change.
    assert abs(decode(state, Z) - make(generator.params, False)).max() > 1e-2
    assert abs(decode(state, Z) - make(generator.ema, True)).max() > 1e-2
    # An image depends on its own latent vector alone.
    np.testing.assert_allclose(decode(state, Z[:4]), decode(state, Z)[:4], atol=1e-6)
    plain = state.replace(networks=state.networks | {"generator": generator.replace(ema=None)})
    np.testing.assert_allclose(decode(plain, Z), make(generator.params, False), atol=1e-6)


def test_samples_are_images_in_range(trained):
    state = trained[2]
    model = replace(TINY, ema_decay=0.75)
    sample = jit(model.sample, static_argnums=2)
    images = sample(state, KEY, 50)
    assert images.shape == (50, 4, 4, 1)
    assert images.dtype == jnp.float32
    assert -1 <= images.min() < images.max() <= 1
    assert len({image.tobytes() for image in np.asarray(images)}) == 50
    np.testing.assert_array_equal(images, sample(state, KEY, 50))
    assert not np.array_equal(images, sample(state, jax.random.key(9), 50))
    assert model.image_range == (-1, 1)


# Several updates of the discriminator, dropout, devices


def test_repeats_take_a_batch_and_latents_of_their_own(state):
    """Three updates on three batches, each on fresh generated images, equal three steps of the discriminator alone."""
    model = replace(TINY, discriminator_repeats=3)
    assert (TINY.batches_per_step, model.batches_per_step) == (1, 3)
    real = jnp.concatenate([REAL, REAL[:1, ::-1, ::-1]])

    latents = []

    class Noted(GAN):
        def sample_latents(self, key, num):
            z = super().sample_latents(key, num)
            latents.append(z)
            return z

    noted = Noted(**{name: getattr(model, name) for name in model.__dataclass_fields__})

    @jit
    def run(state):
        latents.clear()
        new, metrics = noted.step(state, {"image": real}, KEY)
        return new, metrics, list(latents)

    new, metrics, drawn = run(state)
    assert len({z.tobytes() for z in np.asarray(drawn)}) == len(drawn) == 4
    assert float(metrics.means["discriminator/loss"].count) == 3
    assert float(metrics.means["generator/loss"].count) == 1

    g, d = (state.networks[name] for name in ("generator", "discriminator"))

    @jit
    def by_hand(params, collections):
        for i in range(3):
            fake, _ = TINY.generator.apply(g.variables(), drawn[i], train=True, mutable=["batch_stats"])

            def loss(params, i=i, fake=fake, collections=collections):
                judge = partial(TINY.discriminator.apply, {"params": params} | collections, train=True)
                on_real, wrote = judge(real[i], mutable=["batch_stats"])
                on_fake, _ = judge(fake, mutable=["batch_stats"])
                return (jax.nn.softplus(-on_real) + jax.nn.softplus(on_fake)).mean(), wrote

            gradients, wrote = jax.grad(loss, has_aux=True)(params)
            params, collections = jax.tree.map(lambda p, x: p - 0.2 * x, params, gradients), wrote
        return params, collections

    params, collections = by_hand(d.params, d.collections)
    assert_close(new.networks["discriminator"].params, params, rtol=1e-4, atol=1e-5)
    assert_close(new.networks["discriminator"].collections, collections, rtol=1e-4, atol=1e-5)


def test_a_penalty_is_weighted_and_added_to_the_discriminators_loss(state, by_hand):
    seen = {}

    def penalty(judge, real, fake, key):
        seen.update(real=real, fake=fake)
        return jnp.square(judge(real) - judge(fake)).mean()

    model = known(replace(TINY, regularisers=(Regulariser(penalty=penalty, weight=3.0),)))
    g, d = (state.networks[name] for name in ("generator", "discriminator"))
    make = partial(TINY.generator.apply, g.variables(), train=True, mutable=["batch_stats"])
    judge = partial(TINY.discriminator.apply, train=True, mutable=["batch_stats"])

    @jit
    def run(state):
        new, metrics = run_phases(model.phases()[:1], model.optimizers, state, {"image": REAL[:1]}, KEY)
        real, fake = seen["real"], seen["fake"]

        def wanted(params):
            on = [judge({"params": params} | d.collections, x)[0] for x in (REAL[0], make(Z)[0])]
            return jnp.square(on[0] - on[1]).mean()

        return new, metrics, real, fake, make(Z)[0], jax.value_and_grad(wanted)(d.params)

    new, metrics, real, fake, wanted_fake, (value, slope) = run(state)
    np.testing.assert_array_equal(real, REAL[0])
    np.testing.assert_allclose(fake, wanted_fake, atol=1e-6)
    loss, gradients = by_hand["discriminator"]
    assert metrics.means["discriminator/penalty"].value() == pytest.approx(float(value), rel=1e-5)
    assert metrics.means["discriminator/loss"].value() == pytest.approx(float(loss + 3 * value), rel=1e-5)
    found = gradient(d, new.networks["discriminator"], 0.2)
    assert_close(found, jax.tree.map(lambda a, b: a + 3 * b, gradients, slope), rtol=1e-3, atol=1e-5)
    # The penalty's calls write no statistics.
    assert_close(new.networks["discriminator"].collections, by_hand["real statistics"], rtol=1e-5, atol=1e-6)


def test_dropout_is_drawn_anew_in_every_step():
    model = replace(TINY, discriminator=Discriminator(dropout_rate=0.5))
    state = jit(model.init)(KEY, {"image": REAL[0]})
    loss = jit(lambda key: known(model).step(state, {"image": REAL[:1]}, key)[1].means["discriminator/logit_real"])
    one, again, other = (loss(jax.random.key(i)).value() for i in (0, 0, 1))
    assert one == again != other


def test_one_and_eight_devices_make_the_same_numbers(state):
    """Plain descent: Adam divides by the gradient's size and so turns rounding of a tiny one into a whole step."""
    model = replace(TINY, discriminator_repeats=2, ema_decay=0.9)
    generator = state.networks["generator"]
    state = state.replace(networks=state.networks | {"generator": generator.replace(ema=generator.params)})
    results = []
    for devices in (jax.devices()[:1], jax.devices()):
        mesh = make_mesh(devices)
        everywhere, split = replicated(mesh), split_along(mesh, 1)
        step = jit(model.step, in_shardings=(everywhere, split, everywhere), out_shardings=everywhere)
        new, meter = jax.device_put(state, everywhere), None
        for i in range(3):
            new, metrics = step(new, jax.device_put({"image": REAL}, split), jax.random.key(i))
            meter = metrics if meter is None else meter.merge(metrics)
        results.append((jax.device_get(new), {name: mean.value() for name, mean in meter.means.items()}))
    assert len(jax.devices()) == 8
    (one, means), (eight, others) = results
    assert_close(eight, one, rtol=1e-4, atol=1e-5)
    assert others == pytest.approx(means, rel=1e-4)
    assert not same(one.networks["generator"].params, generator.params)
