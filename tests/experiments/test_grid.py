"""Every registered experiment through its smoke preset: nothing here knows what experiments there are."""

import math

import jax
import numpy as np
import pytest

from experiments.registry import load_all
from gdl_jax.data.source import load
from gdl_jax.models.model import Denoises, Encodes, Samples
from gdl_jax.steps.devices import make_mesh
from gdl_jax.training.observer import Observer

EXPERIMENTS = load_all()

FEW_FLOPS = 1e5
"""Of a step in which the optimiser, at work on every device, outweighs the networks."""


@pytest.fixture(params=EXPERIMENTS)
def finished(request, runs):
    return runs(request.param)


@pytest.fixture(params=EXPERIMENTS)
def bfloat16(request, runs):
    return runs(request.param, "--dtype", "bfloat16", "--steps", "2")


def test_smoke_run_succeeds_and_its_numbers_are_finite(finished):
    assert (finished.answer.code, finished.answer.err) == (0, "")
    smoke = EXPERIMENTS[finished.name].presets()["smoke"]
    lines = finished.lines
    trained = [line for line in lines if "metrics" in line]
    evaluated = [line for line in lines if "evaluation" in line]
    assert [line["step"] for line in trained] == list(range(smoke.log_every, smoke.steps + 1, smoke.log_every))
    assert evaluated[-1]["step"] == smoke.steps
    for line in trained:
        assert line["metrics"]
        assert all(math.isfinite(value) for value in line["metrics"].values())
        assert any(name.endswith("/loss") for name in line["metrics"])
        assert line["examples_per_second"] > 0
        assert len(line["batch_digest"]) == 8
        assert set(line["batch_digest"]) <= set("0123456789abcdef")
    assert len({line["batch_digest"] for line in trained}) == len(trained)
    assert [line["epoch"] for line in trained] == sorted(line["epoch"] for line in trained)
    for line in evaluated:
        assert line["evaluation"]
        assert all(math.isfinite(value) for value in line["evaluation"].values())
    if EXPERIMENTS[finished.name].monitor is not None:
        assert EXPERIMENTS[finished.name].monitor[0] in evaluated[-1]["evaluation"]


def test_run_folder_is_complete(finished):
    workdir = finished.workdir
    smoke = EXPERIMENTS[finished.name].presets()["smoke"]
    assert finished.config["name"] == finished.name
    assert finished.config["config"]["steps"] == smoke.steps
    assert finished.config["versions"]["jax"] == jax.__version__
    for step in (0, smoke.steps):
        pictures = [path.read_bytes() for path in (workdir / "samples").glob(f"*{step:06d}.png")]
        assert pictures
        assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert list((workdir / "tensorboard").glob("events.out.tfevents.*"))
    assert (workdir / "checkpoints" / f"{smoke.steps}.json").exists()
    assert (workdir / "checkpoints" / str(smoke.steps)).is_dir()
    assert "<html" in (workdir / "report.html").read_text()
    assert str(workdir) in finished.answer.out
    assert not list(workdir.rglob("*.partial"))


def test_step_is_traced_once_and_its_state_donated(finished):
    smoke = EXPERIMENTS[finished.name].presets()["smoke"]
    assert len(finished.seen.compiled) == 1
    # One after the other in one trace on CPU, so as often as there are steps in a call.
    assert finished.seen.traces == smoke.steps_per_call
    assert len(finished.seen.donated) == smoke.steps // smoke.steps_per_call
    # The call after a checkpoint has to leave it alone: orbax still writes it.
    free = [
        d for i, d in enumerate(finished.seen.donated) if i == 0 or i * smoke.steps_per_call % smoke.checkpoint_every
    ]
    assert all(free)


def test_the_work_of_a_step_is_split_over_the_devices(finished):
    opened = finished.open()
    spec = {name: (shape, dtype) for name, (shape, dtype) in finished.config["data"]["arrays"].items()}
    lead = (opened.model.batches_per_step, opened.experiment.batch_size)
    batches = {
        name: jax.ShapeDtypeStruct((*lead, *shape), np.float32 if name == "image" else dtype)
        for name, (shape, dtype) in spec.items()
    }
    whole = jax.jit(opened.model.step).lower(opened.state, batches, jax.random.key(0)).cost_analysis()["flops"]
    assert jax.device_count() == 8
    if whole < FEW_FLOPS:
        pytest.skip(f"{finished.name} computes next to nothing")
    # What is done on every device counts eight times; a little is, such as the optimiser's work.
    assert finished.seen.flops < 2 * whole, f"{finished.seen.flops:,.0f} on 8 devices, {whole:,.0f} written down"


def test_trained_networks_change_and_frozen_ones_do_not(finished):
    opened = finished.open()
    networks = opened.state.networks
    trained = {name for name, network in networks.items() if network.opt_state != ()}
    assert int(opened.state.step) == opened.step == EXPERIMENTS[finished.name].presets()["smoke"].steps
    assert set(finished.seen.params) == set(networks)
    assert trained
    if hasattr(opened.model, "phases"):
        assert trained == {name for phase in opened.model.phases() for name in phase.trains}
    for name, before in finished.seen.params.items():
        after = networks[name].params
        changed = jax.tree.leaves(
            jax.tree.map(lambda a, b: bool((np.asarray(a) != np.asarray(b)).any()), before, after)
        )
        if name in trained:
            # Not all: a bias before a norm has no gradient.
            assert sum(changed) > len(changed) / 2, name
        else:
            assert not any(changed), name


def test_samples_have_the_shape_of_the_data_and_the_stated_range(finished):
    opened = finished.open()
    if not isinstance(opened.model, Samples):
        pytest.skip(f"{finished.name} draws no images")
    shape = tuple(finished.config["data"]["arrays"]["image"][0])
    images = np.asarray(opened.model.sample(opened.state, jax.random.key(1), 5))
    low, high = opened.model.image_range
    assert images.shape == (5, *shape)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    assert low <= images.min() < images.max() <= high
    # In the units of the data, not of the numbers.
    assert images.max() - images.min() > 1e-3 * (high - low)


def test_what_noise_was_and_what_became_of_it_are_shown(finished, launch, tmp_path):
    opened = finished.open()
    if not isinstance(opened.model, Denoises):
        pytest.skip(f"{finished.name} takes no noise away")
    settings = opened.experiment
    train, test = (load(settings.data, split) for split in ("train", "test"))
    observer = Observer(opened.model, train, test, settings, make_mesh(jax.devices()[:1]))
    picture = observer.pictures(opened.state)["restorations"]
    side, clean = test.spec["image"].shape[0], test.take(np.arange(10))["image"]
    shown = [picture[row * (side + 2) :][:side] for row in range(3)]
    images = [np.stack([row[:, i * (side + 2) :][:, :side] for i in range(10)]) for row in shown]
    np.testing.assert_array_equal(images[0], clean)
    # Of 51 (a deviation of 0.25) and 61 (0.3), which are cut to [0, 255].
    assert 30 < np.abs(images[1].astype(int) - clean).mean() < 60
    np.testing.assert_array_equal(images[2], observer.reconstruct(opened.state, images[1]))
    if not isinstance(opened.model, Encodes):
        assert launch("reconstruct", finished.workdir, "--num", 3, "--out", tmp_path / "three.npz").code == 0
        with np.load(tmp_path / "three.npz") as found:
            assert found["samples"].shape == (3, *clean.shape[1:])
        assert "decodes no codes" in launch("codes", finished.workdir).err


def test_bfloat16_computes_in_bfloat16_and_keeps_float32(bfloat16, runs):
    assert (bfloat16.answer.code, bfloat16.answer.err) == (0, "")
    float32 = runs(bfloat16.name)
    assert "bf16[" in bfloat16.seen.compiled[0]
    assert "bf16[" not in float32.seen.compiled[0]
    for leaf in jax.tree.leaves(bfloat16.seen.after):
        assert leaf.dtype in (np.float32, np.int32, np.uint32), leaf
    assert jax.tree.map(lambda x: (x.shape, x.dtype), bfloat16.seen.after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), float32.seen.after
    )
    losses = [name for name in float32.seen.first if name.endswith("/loss")]
    assert losses
    assert bfloat16.seen.first.keys() == float32.seen.first.keys()
    for name in losses:
        expected, found = float32.seen.first[name], bfloat16.seen.first[name]
        assert math.isfinite(found)
        assert found == pytest.approx(expected, rel=0.03, abs=0.03), name
    assert bfloat16.seen.first != float32.seen.first
    for line in bfloat16.lines:
        assert all(math.isfinite(value) for value in (line.get("metrics") or line["evaluation"]).values())
