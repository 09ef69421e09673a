"""One device and several: the same numbers, and a run may move between them."""

import dataclasses
import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from experiments.registry import find
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.steps.devices import AXIS, check_divisible, local_rows, make_mesh
from gdl_jax.steps.optimizers import Optimizer
from gdl_jax.training import loop
from gdl_jax.training.interrupt import Interrupt
from gdl_jax.training.program import make_draw, make_sampler

ROUNDING = {"dcgan": 2e-5, "vae": 2e-4, "classifier": 2e-5}
"""Several devices add up a batch in another order than one. That is 1e-7 of a gradient, and with this epsilon a step
hands it on at most 1e3-fold, times the learning rate (2e-4 and 1e-3), over 10 steps; batch norm's statistics take part
with their own 1e-7 of values of order 1. Gradient descent hands it on as it is."""

CHANGES = {
    "dcgan": {"width": 2, "optimizer": Optimizer(learning_rate=2e-4, b1=0.5, eps=1e-3)},
    "vae": {"optimizer": Optimizer(learning_rate=1e-3, eps=1e-3)},
    "classifier": {"optimizer": Optimizer(rule="sgd", learning_rate=0.01)},
}


@pytest.fixture
def train(monkeypatch, compiles_once):
    """Trains the smoke preset in this process on so many devices."""

    def go(name, workdir, devices):
        experiment = find(name)
        settings = dataclasses.replace(
            experiment.presets()["smoke"], steps=10, checkpoint_every=5, sample_every=10, num_samples=4, **CHANGES[name]
        )
        settings = dataclasses.replace(
            settings, data=dataclasses.replace(settings.data, size=8, num_examples=64), tensorboard=False
        )
        monkeypatch.setattr(loop, "make_mesh", lambda: make_mesh(jax.devices()[:devices]))
        data, test = load(settings.data, "train"), load(settings.data, "test")
        model = settings.build(DataSpec.of(data))
        job = loop.Job(model=model, train=data, test=test, settings=settings, workdir=workdir)
        # Optax raises a float to an integer power.
        with jax.numpy_dtype_promotion("standard"):
            progress = loop.train(job, Interrupt())
        assert progress.step == 10

    return go


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_eight_devices_equal_one_and_a_run_moves_between_them(train, run, name, tmp_path):
    def of(folder):
        return dataclasses.replace(run, workdir=tmp_path / folder)

    train(name, tmp_path / "eight", 8)
    train(name, tmp_path / "one", 1)
    of("eight").assert_close(of("one"), atol=ROUNDING[name])
    for devices in (1, 2):
        moved = tmp_path / f"to {devices}"
        shutil.copytree(tmp_path / "eight", moved)
        shutil.rmtree(moved / "checkpoints" / "10")
        (moved / "checkpoints" / "10.json").unlink()
        train(name, moved, devices)
        of(moved.name).assert_close(of("one"), atol=ROUNDING[name])
        assert of(moved.name).pictures().keys() == of("one").pictures().keys()
    # Continued from the eight devices' checkpoint, not begun anew.
    before = of("eight").leaves(5)
    assert any((before[path] != leaf).any() for path, leaf in of("one").leaves(5).items() if path.startswith("state/"))


@pytest.mark.parametrize(("devices", "changes"), [(2, {}), (8, {"steps_per_call": 5}), (8, {"batches_per_step": 3})])
def test_a_small_model_on_several(train_line, line, devices, changes):
    changes = dict(changes)
    model = line(batches_per_step=changes.pop("batches_per_step", 1))
    wanted = train_line("wanted", model, **changes)
    found = train_line("found", model, devices=devices, **changes)
    found.assert_close(wanted, atol=1e-6)
    assert [entry["step"] for entry in found.lines()] == [entry["step"] for entry in wanted.lines()]
    for mine, its in zip(found.lines(), wanted.lines(), strict=True):
        assert mine.get("batch_digest") == its.get("batch_digest")
        values, expected = (entry.get("metrics") or entry["evaluation"] for entry in (mine, its))
        assert values.keys() == expected.keys()
        np.testing.assert_allclose(list(values.values()), list(expected.values()), rtol=1e-4)


@pytest.mark.parametrize(("batch", "near"), [(12, "8 or 16"), (7, "8"), (17, "16 or 24")])
def test_a_batch_that_cannot_be_split(batch, near):
    with pytest.raises(UsageError, match=f"A batch of {batch} cannot be split evenly over 8 .* --batch-size to {near}"):
        check_divisible(batch, make_mesh())
    check_divisible(batch, make_mesh(jax.devices()[:1]))


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_one_process_feeds_all_rows(devices):
    assert local_rows(16, make_mesh(jax.devices()[:devices])) == slice(0, 16)


class Dense:
    """A model whose samples are a product of matrices."""

    image_range = (-1.0, 1.0)

    def sample(self, state, key, num):
        return jnp.tanh(jax.random.normal(key, (num, 64)) @ state).reshape(num, 8, 8, 1)


def test_devices_share_the_drawing_of_samples():
    state = jax.random.normal(jax.random.key(0), (64, 64))
    flops, drawn = {}, {}
    for devices in (1, 8):
        mesh = make_mesh(jax.devices()[:devices])
        compiled = make_draw(Dense(), mesh).lower(state, jax.random.key(0), num=64).compile()
        flops[devices] = compiled.cost_analysis()["flops"]
        # A number of samples that eight devices cannot share.
        drawn[devices] = make_sampler(Dense(), mesh)(state, jax.random.key(1), 300)
    assert flops[8] < flops[1] / 7
    assert drawn[8].shape == (300, 8, 8, 1)
    assert len(np.unique(drawn[8], axis=0)) == 300
    np.testing.assert_allclose(drawn[8].astype(int), drawn[1], atol=1)


@dataclass(frozen=True)
class Chip:
    """What a mesh knows of a device, seen from process 1."""

    process_index: int
    id: int
    platform: str = "tpu"
    client = SimpleNamespace(process_index=lambda: 1, platform="tpu")


def test_a_process_feeds_one_slice_whatever_the_order_of_the_devices():
    """Of chips that lie in a square, as a TPU numbers them."""
    chips = [Chip(0, 0), Chip(1, 2), Chip(1, 3), Chip(0, 1)]
    assert [chip.id for chip in make_mesh(chips).devices] == [0, 1, 2, 3]
    assert local_rows(16, make_mesh(chips)) == slice(8, 16)
    with pytest.raises(ValueError, match="do not stand side by side"):
        local_rows(16, Mesh(np.array([chips[1], chips[0], chips[2], chips[3]]), (AXIS,)))
