"""Of the grid of GANs one of each kind, as a user chooses it: eight devices, checkpoints and bfloat16."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.families.conditional_gans import BoundarySeekingGAN, ConditionalGAN
from experiments.families.free_gan import FreeGAN
from experiments.families.gan_parts import both
from gdl_jax.data.source import ArraySpec
from gdl_jax.data.spec import DataSpec
from gdl_jax.steps.devices import make_mesh, replicated, split_along
from gdl_jax.steps.optimizers import Optimizer
from gdl_jax.training.checkpoint import Checkpoints, leaf_paths

pytestmark = pytest.mark.slow
jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SIDE, BATCH = 8, 16
ONE_DEVICE = replicated(make_mesh(jax.devices()[:1]))
DATA = DataSpec(
    {"image": ArraySpec((SIDE, SIDE, 1), np.dtype(np.uint8)), "label": ArraySpec((), np.dtype(np.int32))},
    tuple("012"),
    100,
)
TINY = {"width": 2, "latent_size": 4, "batch_size": BATCH}
# Plain descent: Adam divides by the gradient's size and so turns rounding of a tiny one into a whole step.
DESCENT = both(Optimizer(rule="sgd", learning_rate=0.05))

REPRESENTATIVES = {
    "labels, noise and minibatch features": FreeGAN(
        **TINY,
        **DESCENT,
        architecture="dense_norm",
        label_noise="both",
        label_flip=0.1,
        instance_noise=0.1,
        fading_steps=10,
        minibatch_features=2,
        joint_batches=True,
    ),
    "convolutions, spectral norm and augmentation": FreeGAN(
        **TINY,
        **DESCENT,
        loss="hinge",
        spectral=True,
        augment=("colour", "translation", "cutout"),
        recalibration_batches=2,
    ),
    "residual blocks, projection and a relativistic loss": ConditionalGAN(
        **TINY,
        **DESCENT,
        architecture="spectral_resnet",
        conditioning="projection",
        conditional_norm=True,
        embedding=2,
        loss="relativistic_average_hinge",
    ),
    "lazy R1": FreeGAN(**TINY, **DESCENT, architecture="dense", penalty="r1", penalty_interval=2),
    "classifier, gradient penalty and drift": ConditionalGAN(
        **TINY,
        **DESCENT,
        architecture="dense_labels",
        conditioning="auxiliary",
        embedding=2,
        loss="wasserstein",
        penalty="gradient",
        discriminator_norm=False,
        drift_weight=1e-3,
        discriminator_repeats=2,
    ),
    "clipped weights": FreeGAN(
        **TINY, **DESCENT, architecture="dense_norm", loss="wasserstein", weight_limit=0.05, generator_repeats=2
    ),
    "drawn pixels": BoundarySeekingGAN(**TINY, **DESCENT, architecture="dense", draws=4),
}


def batches(steps, repeats):
    k_image, k_label = jax.random.split(jax.random.key(1))
    shape = (steps, repeats, BATCH)
    images = jax.random.uniform(k_image, (*shape, SIDE, SIDE, 1), minval=-1)
    # On no device: the step places what it is given.
    return jax.device_get({"image": images, "label": jax.random.randint(k_label, shape, 0, 3)})


def after(model, state, data, numbers, step):
    metrics = None
    for i in numbers:
        state, found = step(state, jax.tree.map(lambda x, i=i: x[i], data), jax.random.key(i))
        metrics = found if metrics is None else metrics.merge(found)
    return state, metrics


@pytest.fixture(scope="module", params=REPRESENTATIVES)
def trained(request):
    """A model, its data, where it began, its step on one device, and where three of them lead."""
    settings = REPRESENTATIVES[request.param]
    model = settings.build(DATA)
    data = batches(3, model.batches_per_step)
    start = jit(model.init)(jax.random.key(0), jax.tree.map(lambda x: x[0, 0], data))
    # Where what is restored will be: elsewhere the step would be compiled anew.
    start = jax.device_put(start, ONE_DEVICE)
    step = jit(model.step)
    return settings, model, data, start, step, after(model, start, data, range(3), step)


def test_eight_devices_make_the_numbers_of_one(trained):
    _, model, data, start, _, (one, metrics) = trained
    assert len(jax.devices()) == 8
    mesh = make_mesh()
    everywhere, split = replicated(mesh), split_along(mesh, 1)
    step = jit(model.step, in_shardings=(everywhere, split, everywhere), out_shardings=everywhere)
    with jax.set_mesh(mesh):
        eight, others = after(model, jax.device_put(start, everywhere), data, range(3), step)
    found, wanted = leaf_paths(jax.device_get(eight)), leaf_paths(jax.device_get(one))
    assert found.keys() == wanted.keys()
    for path, leaf in wanted.items():
        np.testing.assert_allclose(found[path], leaf, rtol=1e-3, atol=2e-5, err_msg=path)
    means = {name: mean.value() for name, mean in metrics.means.items()}
    assert {name: mean.value() for name, mean in others.means.items()} == pytest.approx(means, rel=1e-3, abs=1e-4)
    for name in start.networks:
        pairs = zip(*(jax.tree.leaves(x.networks[name].params) for x in (start, one)), strict=True)
        assert any((old != new).any() for old, new in pairs)


def test_continued_from_a_checkpoint_bit_for_bit(trained, tmp_path):
    _, model, data, start, step, (wanted, _) = trained
    state, _ = after(model, start, data, range(2), step)
    saved = Checkpoints(tmp_path / "checkpoints")
    saved.save(2, state, {})
    saved.close()
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=ONE_DEVICE), state)
    restored = Checkpoints(tmp_path / "checkpoints", read_only=True).restore(shapes).tree
    found = leaf_paths(after(model, restored, data, [2], step)[0])
    for path, leaf in leaf_paths(wanted).items():
        assert np.asarray(found[path]).tobytes() == np.asarray(leaf).tobytes(), path


def test_bfloat16_stays_near(trained):
    settings, _, data, start, _, (_, wanted) = trained
    model = replace(settings, dtype="bfloat16").build(DATA)
    (state, metrics) = after(model, start, data, range(3), jit(model.step))
    for network in state.networks.values():
        assert {leaf.dtype for leaf in jax.tree.leaves(network.params)} == {jnp.dtype("float32")}
    assert all(fault.count == 0 for fault in metrics.faults.values())
    losses = {name: mean.value() for name, mean in wanted.means.items() if name.endswith("/loss")}
    found = {name: metrics.means[name].value() for name in losses}
    assert found == pytest.approx(losses, rel=0.05, abs=0.05)
    assert found != losses
