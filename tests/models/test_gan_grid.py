"""Every loss x every penalty x every kind of network takes one finite step; optima that are known are found.

One program per kind of network has all losses and penalties in it, and is told which of them to take.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.families.gan_parts import LOSSES, PENALTIES
from gdl_jax.layers.normalisation import BatchNorm, ConditionalBatchNorm
from gdl_jax.losses.adversarial import AdversarialLoss, non_saturating, wasserstein
from gdl_jax.losses.penalties import drift, gradient_penalty
from gdl_jax.models.adversarial import Regulariser
from gdl_jax.models.gan import GAN
from gdl_jax.networks.conditional import LabelledDiscriminator, LabelledGenerator, ProjectionDiscriminator
from gdl_jax.networks.dcgan import Discriminator, Generator, leaky_relu
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.networks.mlp import MLP
from gdl_jax.networks.resnet_gan import ResNetCritic, ResNetGenerator
from gdl_jax.steps.constraints import clip_weights

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

CLASSES, LATENT, LIMIT = 3, 4, 0.02
BATCH = {
    "image": jax.random.uniform(jax.random.key(1), (1, 4, 8, 8, 1), minval=-1),
    "label": jnp.array([[0, 1, 2, 0]], jnp.int32),
}
KEY = jax.random.key(0)

dense = (DenseGenerator((8, 8, 1), (4,)), DenseDiscriminator((6, 4)))
dcgan = (
    Generator(start=(4, 4, 4), features=(1,), kernels=(3,), strides=(2,), upsampling="nearest"),
    Discriminator(features=(4,), kernels=(4,), strides=(2,), norm=None),
)
resnet = (ResNetGenerator(start=(4, 4, 4), features=(4,), channels=1), ResNetCritic(features=(4,), halvings=1))
# Penalties are finite with batch norm too; that they mean nothing then, the settings know.
judge_of_labels = LabelledDiscriminator(dense[1].clone(norm=BatchNorm), CLASSES, form="pixels")
conditional_norm = partial(ConditionalBatchNorm, CLASSES)

NETWORKS = {
    "dense, labels": (LabelledGenerator(dense[0], CLASSES), judge_of_labels),
    "dcgan, spectral": (dcgan[0], dcgan[1].clone(spectral=True)),
    "resnet, projection": (resnet[0].clone(norm=conditional_norm), ProjectionDiscriminator(resnet[1], CLASSES)),
}

EVERY_LOSS = [make() for make in LOSSES.values()]
EVERY_PENALTY = [lambda *_: jnp.float32(0), *PENALTIES.values(), drift]


def one_of(functions, index):
    return lambda *arguments: jax.lax.switch(index, functions, *arguments)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_loss_and_every_penalty_take_a_finite_step(name):
    generator, discriminator = NETWORKS[name]
    plain = optax.sgd(0.1)

    def model(loss, penalty):
        players = (one_of([each[player] for each in EVERY_LOSS], loss) for player in (0, 1))

        def chosen(critic, *images_and_key):
            return one_of([partial(each, critic) for each in EVERY_PENALTY], penalty)(*images_and_key)

        regulariser = Regulariser(penalty=chosen, weight=1.0)
        return GAN(
            generator=generator,
            discriminator=discriminator,
            optimizers={"generator": plain, "discriminator": plain},
            loss=AdversarialLoss(*players),
            latent_size=LATENT,
            num_classes=0 if name == "dcgan, spectral" else CLASSES,
            regularisers=(regulariser,),
        )

    state = jax.device_get(jit(model(0, 0).init)(KEY, jax.tree.map(lambda x: x[0], BATCH)))

    @jit
    def run(losses, penalties):
        def one(both):
            new, metrics = model(*both).step(state, BATCH, KEY)
            return new.networks, metrics

        return jax.lax.map(one, (losses, penalties))

    losses, penalties = (x.ravel() for x in np.indices((len(EVERY_LOSS), len(EVERY_PENALTY))))
    networks, metrics = jax.device_get(run(jnp.asarray(losses), jnp.asarray(penalties)))
    for fault in metrics.faults.values():
        np.testing.assert_array_equal(fault.count, 0)
    for mean in metrics.means.values():
        assert np.isfinite(mean.total).all()
    for player, network in networks.items():
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(network))
        pairs = zip(jax.tree.leaves(network.params), jax.tree.leaves(state.networks[player].params), strict=True)
        # Of each of the steps, whether a parameter moved.
        moved = np.any([(new != old).reshape(len(losses), -1).any(axis=1) for new, old in pairs], axis=0)
        assert moved.all(), [(list(LOSSES)[a], b) for a, b in zip(losses[~moved], penalties[~moved], strict=True)]
    if discriminator is NETWORKS["dcgan, spectral"][1]:
        u = networks["discriminator"].collections["spectral"]["SpectralConv_0"]["u"]
        # The same weights are normalised before every one of these updates.
        np.testing.assert_allclose(u, np.broadcast_to(u[:1], u.shape), rtol=1e-5)


def test_clipping_holds_every_parameter_and_leaves_the_statistics():
    model = GAN(
        generator=dense[0],
        discriminator=DenseDiscriminator((6, 4), norm=BatchNorm),
        optimizers=dict.fromkeys(("generator", "discriminator"), optax.sgd(1.0)),
        loss=wasserstein(),
        latent_size=LATENT,
        weight_limit=LIMIT,
    )

    @jit
    def run():
        state = model.init(KEY, {"image": BATCH["image"][0]})
        steps = (replace(model, weight_limit=limit).step(state, BATCH, KEY)[0] for limit in (None, LIMIT))
        return [state.networks["discriminator"] for state in steps]

    free, clipped = jax.device_get(run())
    # Statistics are those of the weights before the update, clipped or not.
    jax.tree.map(np.testing.assert_array_equal, clipped.collections, free.collections)
    assert abs(free.collections["batch_stats"]["BatchNorm_0"]["var"]).max() > LIMIT
    jax.tree.map(np.testing.assert_array_equal, clipped.params, clip_weights(LIMIT)(free.params))
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(clipped.params)) <= LIMIT
    assert min(abs(free.params[name]["kernel"]).max() for name in ("Dense_0", "Dense_1", "Dense_2")) > LIMIT


# Optima


class Shift(nn.Module):
    """A generator that nothing has to be learnt of: latent vectors, moved."""

    by: tuple[float, float]

    @nn.compact
    def __call__(self, z, *, train):
        by = self.param("by", lambda _: jnp.array(self.by))
        return (z + jnp.broadcast_to(by, z.shape)).reshape(-1, 1, 2, 1)


class Judge(nn.Module):
    units: int = 64

    @nn.compact
    def __call__(self, x, *, train):
        return MLP((self.units, self.units, 1), activation=leaky_relu)(x, train=train)[:, 0]


def critic_of(loss, regularisers, optimizer, steps, *, batch=256, shift=(0.6, 0.8)):
    """Trains the discriminator alone between N(0, I), real, and N(shift, I), generated; returns its logits."""
    model = GAN(
        generator=Shift(shift),
        discriminator=Judge(),
        optimizers={"generator": optax.sgd(0.0), "discriminator": optimizer},
        loss=loss,
        latent_size=2,
        regularisers=regularisers,
    )
    state = jax.jit(model.init)(KEY, {"image": jnp.zeros((batch, 1, 2, 1))})

    @jax.jit
    def train(state):
        def step(state, number):
            key = jax.random.fold_in(KEY, number)
            real = jax.random.normal(jax.random.fold_in(key, 1), (1, batch, 1, 2, 1))
            with jax.numpy_dtype_promotion("standard"):
                return model.step(state, {"image": real}, key)[0], None

        return jax.lax.scan(step, state, jnp.arange(steps))[0]

    network = train(state).networks["discriminator"]
    return lambda x: model.discriminator.apply(network.variables(), jnp.asarray(x).reshape(-1, 1, 2, 1), train=False)


def test_the_discriminators_optimum_is_the_log_ratio_of_the_densities():
    """Goodfellow et al. 2014, proposition 1: for N(0, I) and N(m, I) the logit is |m|^2 / 2 - m x; here |m| = 1."""
    logits = critic_of(non_saturating(), (), optax.adam(3e-3), 1000, batch=1024)
    points = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    wanted = 0.5 - points @ np.array([0.6, 0.8], np.float32)
    assert np.sqrt(np.square(logits(points) - wanted).mean()) < 0.15


def test_a_critic_with_gradient_penalty_finds_the_distance_of_two_gaussians():
    """Two Gaussians that differ by a shift of length 1 have the Wasserstein distance 1.

    With weight w the best slope s of s W - w (s - 1)^2 is 1 + W / 2w = 1.05: the penalty is no constraint.
    """
    penalty = Regulariser(penalty=gradient_penalty, weight=10.0)
    critic = critic_of(wasserstein(), (penalty,), optax.adam(1e-3, b1=0.5, b2=0.9), 500)
    real = np.random.default_rng(0).normal(size=(4000, 2)).astype(np.float32)
    distance = float(critic(real).mean() - critic(real + np.float32([0.6, 0.8])).mean())
    assert distance == pytest.approx(1, rel=0.1)
