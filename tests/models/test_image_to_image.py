"""GANs from images to images, on networks of single pixels and dense ones."""

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
from gdl_jax.models.image_to_image import DenoisingGAN, ImageToImageGAN
from gdl_jax.models.model import Decodes, Denoises, Encodes, Evaluates, Model, Reconstructs, Samples
from gdl_jax.steps.augmentation import Corruption
from gdl_jax.steps.devices import make_mesh, replicated, split_along
from gdl_jax.steps.phases import run_phases

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

BATCH = 8
KEY = jax.random.key(3)
# Sources have two channels and targets one, so that nothing can take the one for the other.
SOURCE = jax.random.uniform(jax.random.key(1), (BATCH, 4, 4, 2), minval=-1)
TARGET = jax.random.uniform(jax.random.key(2), (BATCH, 4, 4, 1), minval=-1)
PAIRS = {"source": SOURCE, "image": TARGET}


class PerPixel(nn.Module):
    """Its own network for each pixel, the same for all."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.tanh(nn.Dense(1)(nn.tanh(BatchNorm()(nn.Dense(5)(x), train=train))))


class Judge(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.leaky_relu(BatchNorm()(nn.Dense(6)(x.reshape(len(x), -1)), train=train))
        return nn.Dense(1)(x)[:, 0]


TINY = {
    "generator": PerPixel(),
    "discriminator": Judge(),
    "optimizers": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.2)},
    "loss": non_saturating(),
}


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def assert_close(found, wanted, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(partial(np.testing.assert_allclose, **tolerance), found, wanted)


@pytest.mark.parametrize(("conditional", "weight"), [(False, 7.0), (True, 3.0)])
def test_the_phases_are_those_of_the_paper(conditional, weight):
    """Isola et al. 2017: eq. 1 (or 2), -log D for the generator, and eq. 4, with D = sigmoid(logit)."""
    model = ImageToImageGAN(**TINY, conditional=conditional, l1_weight=weight)

    def with_source(images):
        return jnp.concatenate([SOURCE, images], axis=-1) if conditional else images

    @jit
    def run():
        state = model.init(jax.random.key(0), PAIRS)
        g, d = (state.networks[name] for name in ("generator", "discriminator"))
        make = partial(model.generator.apply, train=True, mutable=["batch_stats"])
        judge = partial(model.discriminator.apply, train=True, mutable=["batch_stats"])

        def probability(params, images):
            return jax.nn.sigmoid(judge({"params": params} | d.collections, with_source(images))[0])

        def value(params):
            fake, _ = make(g.variables(), SOURCE)
            return -jnp.log(probability(params, TARGET)).mean() - jnp.log(1 - probability(params, fake)).mean()

        def generator_loss(params):
            fake, wrote = make({"params": params} | g.collections, SOURCE)
            adversarial, error = -jnp.log(probability(d.params, fake)).mean(), jnp.abs(TARGET - fake).mean()
            return adversarial + weight * error, (adversarial, error, wrote)

        batches = jax.tree.map(lambda x: x[None], PAIRS)
        found = [run_phases([phase], model.optimizers, state, batches, KEY) for phase in model.phases()]
        by_hand = (
            jax.value_and_grad(value)(d.params),
            jax.value_and_grad(generator_loss, has_aux=True)(g.params),
            judge(d.variables(), with_source(TARGET))[1],
        )
        return state, found, by_hand

    state, ((first, judged), (second, made)), (wanted_d, wanted_g, statistics) = run()
    g, d = (state.networks[name] for name in ("generator", "discriminator"))

    def descended(before, after, rate):
        return jax.tree.map(lambda a, b: (a - b) / rate, before.params, after.params)

    # What the discriminator descends does not reach the generator, nor the other way round.
    assert same(first.networks["generator"], g)
    assert same(second.networks["discriminator"], d)

    loss, gradients = wanted_d
    assert judged.means["discriminator/loss"].value() == pytest.approx(float(loss), rel=1e-5)
    assert_close(descended(d, first.networks["discriminator"], 0.2), gradients, rtol=1e-3, atol=1e-5)
    assert_close(first.networks["discriminator"].collections, statistics, rtol=1e-5, atol=1e-6)

    (loss, (adversarial, error, wrote)), gradients = wanted_g
    assert float(error) > 0.1
    means = {name: mean.value() for name, mean in made.means.items()}
    assert means["generator/loss"] == pytest.approx(float(loss), rel=1e-5)
    assert means["generator/adversarial"] == pytest.approx(float(adversarial), rel=1e-5)
    assert means["generator/l1"] == pytest.approx(float(error), rel=1e-5)
    assert_close(descended(g, second.networks["generator"], 0.1), gradients, rtol=1e-3, atol=1e-5)
    assert_close(second.networks["generator"].collections, wrote, rtol=1e-5, atol=1e-6)


def test_the_weight_is_that_of_the_paper():
    assert ImageToImageGAN(**TINY).l1_weight == 100


# Denoising

CLEAN = jax.random.uniform(jax.random.key(4), (2, BATCH, 4, 4, 1), minval=-1)
DENOISING = DenoisingGAN(**TINY, corruption=Corruption("gaussian", 0.3))


def test_what_it_can_do():
    assert isinstance(DENOISING, Model)
    assert isinstance(DENOISING, Denoises)
    assert isinstance(DENOISING, Evaluates)
    for other in (Samples, Decodes, Encodes):
        assert not isinstance(DENOISING, other)
    assert not isinstance(ImageToImageGAN(**TINY), Reconstructs)


@pytest.mark.parametrize("kind", ["gaussian", "masking"])
def test_noise_is_that_of_images_from_0_to_1(kind):
    corruption = Corruption(kind, 0.3)
    noisy = replace(DENOISING, corruption=corruption).corrupt(CLEAN[0], KEY)
    np.testing.assert_allclose((noisy + 1) / 2, corruption((CLEAN[0] + 1) / 2, KEY), atol=1e-6)
    assert -1 <= noisy.min() < noisy.max() <= 1
    assert abs(noisy - CLEAN[0]).mean() > 0.1


class Same(nn.Module):
    """Its input, while it has not been trained."""

    @nn.compact
    def __call__(self, x, *, train):
        return x * self.param("factor", nn.initializers.ones, ())


def test_the_discriminator_sees_the_noise_that_the_generator_was_given():
    """Source and image go through the views as one; each update has noise of its own."""
    seen = {}

    def view(images, key, step):
        # The number of the call says which; a callback, since these values are within the gradient's computation.
        jax.debug.callback(partial(seen.__setitem__, len(seen)), images)
        seen[len(seen)] = None
        return images

    settings = {**TINY, "generator": Same()} | {"conditional": True, "views": (view,), "discriminator_repeats": 2}
    model = DenoisingGAN(**settings, corruption=DENOISING.corruption)

    state = jit(model.init)(jax.random.key(0), {"image": CLEAN[0]})
    jax.block_until_ready(jit(model.step)(state, {"image": CLEAN}, KEY))
    jax.effects_barrier()
    assert len(seen) == 6
    real, fake = ([np.asarray(seen[i]) for i in range(first, 6, 2)] for first in (0, 1))
    noise = []
    for shown, made, clean in zip(real[:2], fake[:2], CLEAN, strict=True):
        assert shown.shape == made.shape == (BATCH, 4, 4, 2)
        np.testing.assert_array_equal(shown[..., 1:], clean)
        # To rounding: the compiler may compute the noise once for each.
        np.testing.assert_allclose(made[..., :1], shown[..., :1], atol=1e-6)
        np.testing.assert_allclose(made[..., 1:], made[..., :1], atol=1e-6)
        noise.append(shown[..., :1] - clean)
    noise.append(real[2][..., :1] - CLEAN[1])  # of the generator's update, on the last batch
    assert all(abs(x).mean() > 0.1 for x in noise)
    assert all(abs(a - b).mean() > 0.1 for a, b in ((noise[0], noise[1]), (noise[1], noise[2])))


def test_measures_of_single_examples():
    model = replace(DENOISING, ema_decay=0.9)

    @jit
    def run():
        state = model.init(jax.random.key(0), {"image": CLEAN[0]})
        generator = state.networks["generator"]
        # Neither the parameters nor the batch's statistics have a part in what is made after training.
        generator = generator.replace(params=jax.tree.map(lambda x: x + 1, generator.params))
        state = state.replace(networks=state.networks | {"generator": generator})
        noisy = model.corrupt(CLEAN[0], KEY)
        wanted = model.generator.apply(generator.variables(generator.ema), noisy, train=False)
        return model.evaluate(state, {"image": CLEAN[0]}, KEY), model.reconstruct(state, noisy), wanted, noisy

    found, restored, wanted, noisy = run()
    np.testing.assert_allclose(restored, wanted, atol=1e-6)
    expected = {}
    for name, images in (("corrupted", noisy), ("restored", wanted)):
        mse = np.square(np.asarray(images - CLEAN[0], np.float64) / 2).mean((1, 2, 3))
        expected |= {f"mse_{name}": mse, f"psnr_{name}": 10 * np.log10(1 / mse)}
    assert found.keys() == expected.keys() == model.protocol().keys()
    assert "gaussian noise of 0.3" in model.protocol()["psnr_restored"]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)


def test_one_and_eight_devices_make_the_same_numbers():
    """Plain descent: Adam divides by the gradient's size and so turns rounding of a tiny one into a whole step."""
    model = replace(DENOISING, conditional=True, discriminator_repeats=2)
    state = jit(model.init)(jax.random.key(0), {"image": CLEAN[0]})
    results = []
    for devices in (jax.devices()[:1], jax.devices()):
        mesh = make_mesh(devices)
        everywhere, split = replicated(mesh), split_along(mesh, 1)
        step = jit(model.step, in_shardings=(everywhere, split, everywhere), out_shardings=everywhere)
        with jax.set_mesh(mesh):
            new = jax.device_put(state, everywhere)
            for i in range(2):
                new, metrics = step(new, jax.device_put({"image": CLEAN}, split), jax.random.key(i))
        results.append((jax.device_get(new), {name: mean.value() for name, mean in metrics.means.items()}))
    assert len(jax.devices()) == 8
    (one, means), (eight, others) = results
    assert_close(eight, one, rtol=1e-4, atol=1e-5)
    assert others == pytest.approx(means, rel=1e-3)
    assert not same(one.networks["generator"].params, state.networks["generator"].params)
