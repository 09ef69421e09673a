"""Metrics of samples while training: when, under which names, for how long, and which checkpoint they keep."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.source import ArraySource, DataSettings, load
from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.pictures.report import histories
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.state import TrainState
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.program import make_sampler
from gdl_jax.training.sample_metrics import drawing, metrics_of, said_of_samples
from gdl_jax.training.settings import EvalSettings, RunSettings

NEVER = 10**6


def curves(run):
    """Steps and values of every measure, as the report draws them."""
    found = histories([line for line in run.lines() if "evaluation" in line], "evaluation")
    return {name: dict(zip(history.steps, history.values, strict=True)) for name, history in found.items()}


@pytest.mark.parametrize(("metric", "value", "higher"), [("kid", "kid", False), ("is", "inception_score", True)])
def test_the_best_checkpoint_is_the_one_with_the_best_metric(train_line, metric, value, higher, capsys):
    run = train_line(
        "run", checkpoint_every=NEVER, evaluate_every=8, keep_checkpoints=1, eval=EvalSettings(every=4, metrics=metric)
    )
    found = curves(run)
    own = found[f"test/{default_features('digits').name}/{value}"]
    assert list(own) == [4, 8, 12, 16, 20]
    assert list(found["test/frechet_pixels"]) == [8, 16, 20]
    best = (max if higher else min)(own, key=own.get)
    checkpoints = Checkpoints(run.checkpoints, higher_is_better=higher, read_only=True)
    assert checkpoints.best() == best
    assert checkpoints.steps() == sorted({best, 20})
    said = [line for line in capsys.readouterr().out.splitlines() if "metrics took" in line]
    assert len(said) == 5
    assert said[0].startswith("step 4: metrics took ")
    assert said[0].endswith(" of the 600 s of --eval.seconds are spent")


def test_every_evaluation_that_may_be_the_best_is_saved(train_line):
    """For two numbers of steps seldom fall together."""
    monitor = ("test/frechet_pixels", "min")
    run = train_line("run", monitor=monitor, checkpoint_every=NEVER, evaluate_every=8, keep_checkpoints=9)
    checkpoints = Checkpoints(run.checkpoints, higher_is_better=False, read_only=True)
    found = curves(run)[monitor[0]]
    assert checkpoints.steps() == list(found) == [8, 16, 20]
    assert checkpoints.best() == min(found, key=found.get)


def test_evaluations_can_be_left_out(train_line):
    run = train_line("run", steps=10, evaluate_every=0)
    assert not [line for line in run.lines() if "evaluation" in line]
    few = train_line("few", steps=10, evaluate_samples=64)
    assert not [line for line in few.lines() if line.get("evaluation")]


def test_they_stop_when_their_time_is_spent(train_line, capsys):
    run = train_line("run", eval=EvalSettings(every=4, metrics="kid", features="pixels", seconds=1e-6))
    assert list(curves(run)["test/pixels/kid"]) == [4]
    said = [line for line in capsys.readouterr().out.splitlines() if "no metrics, for " in line]
    assert [line.split(":")[0] for line in said] == ["step 8", "step 12", "step 16", "step 20"]


def test_more_of_the_same_state_is_the_same(line):
    """Every evaluation draws the same samples, so that the curve shows the model and not the draw."""
    data = load(DataSettings(size=8, num_examples=40), "train")
    settings = RunSettings(eval=EvalSettings(every=1, metrics="kid,prdc", features="pixels", num=50))
    metrics = metrics_of(line(), data, data, settings, make_mesh())
    state = line().init(jax.random.key(0), {"image": np.zeros((2, 8, 8, 1), np.float32)})
    first, second = metrics.values(state), metrics.values(state)
    assert first == second
    assert set(first) == {
        f"test/pixels/{name}" for name in ("kid", "kid_standard_error", "precision", "recall", "density", "coverage")
    }
    told = metrics.results(state, protocol={"run": "line"})["kid"]
    assert told["value"] == first["test/pixels/kid"]
    assert {"samples": 50, "real": 40, "run": "line", "seed": 0, "images": "samples"}.items() <= told[
        "protocol"
    ].items()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"metrics": "fdi"}, "There is no metric 'fdi'"),
        ({"metrics": "fid"}, "fid needs 65 or more samples for a covariance of 64 features .* there are 40"),
        ({"metrics": "is", "features": "pixels"}, "is needs a classifier"),
        ({"metrics": "ms_ssim", "features": "pixels"}, "ms_ssim: MS-SSIM takes images of 11 pixels .* these are 8x8"),
        ({"metrics": "ppl", "features": "pixels"}, "ppl: It takes a model that makes its images of latent vectors"),
        ({"metrics": "triangles", "features": "pixels"}, "triangles: It takes a model that makes"),
        ({"features": "none.pth"}, "There is no weight file none.pth"),
    ],
)
def test_mistakes_are_told_before_training(changes, match, line):
    data = load(DataSettings(size=8, num_examples=40), "train")
    with pytest.raises(UsageError, match=match):
        metrics_of(line(), data, data, RunSettings(eval=EvalSettings(every=1, **changes)), make_mesh())


def test_a_conditional_model_draws_classes_as_often_as_the_data(line):
    class Told(line):
        num_classes = 3

        def sample_classes(self, state, key, labels):
            return jnp.broadcast_to(labels[:, None, None, None].astype(jnp.float32), (len(labels), 2, 2, 1))

    labels = np.array([0] * 10 + [2] * 30, np.int32)
    train = ArraySource("some", {"image": np.zeros((40, 2, 2, 1), np.uint8), "label": labels}, ("a", "b", "c"))
    drawn = drawing(Told(), train)
    state = line().init(jax.random.key(0), {"image": np.zeros((2, 8, 8, 1), np.float32)})
    found = np.asarray(drawn.sample(state, jax.random.key(1), 1000))[:, 0, 0, 0]
    shares = np.bincount(found.astype(int), minlength=3) / 1000
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=0.05)
    assert (np.diff(found) != 0).mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.06)
    assert said_of_samples(drawn, state)["classes_of_samples"].startswith("at random")
    assert "classes_of_samples" not in said_of_samples(line(), state)
    assert said_of_samples(line(), state)["parameters"] == "of this step, no average"


def test_no_more_samples_are_drawn_than_are_asked_for(line):
    asked = []

    class Counting(line):
        def sample(self, state, key, num):
            asked.append(num)
            return super().sample(state, key, num)

    model = Counting()
    state = model.init(jax.random.key(0), {"image": np.zeros((2, 8, 8, 1), np.float32)})
    draw = make_sampler(model, make_mesh(jax.devices()[:1]))
    found = draw(state, jax.random.key(1), 300)
    assert (len(found), asked) == (300, [256, 44])
    # The random numbers of an image do not depend on how many are drawn with it.
    np.testing.assert_array_equal(found, draw(state, jax.random.key(1), 512)[:300])


def test_the_protocol_is_of_the_networks_that_draw(line):
    """And asks nothing of a model that the model does not say of itself."""

    class Named(line):
        sampling_networks = ("line",)
        ema_decay = 0.9

    plain = line().init(jax.random.key(0), {"image": np.zeros((2, 8, 8, 1), np.float32)}).networks["line"]
    normed = plain.replace(collections={"batch_stats": {}}, ema=plain.params)
    state = TrainState.create({"line": plain.replace(ema=plain.params), "judge": normed})
    said = said_of_samples(line(), state)
    assert (said["parameters"], said["batch_norm"]) == ("exponential moving average", "by its running averages")
    said = said_of_samples(Named(), state)
    assert said["parameters"] == "exponential moving average, decay 0.9 after warm-up"
    assert said["batch_norm"] == "none"


def test_a_model_that_draws_nothing(line):
    class Silent(line):
        sample = None

    data = load(DataSettings(size=8, num_examples=40), "train")
    with pytest.raises(UsageError, match="draws no images"):
        metrics_of(Silent(), data, data, RunSettings(eval=EvalSettings(every=1, metrics="kid")), make_mesh())


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"every": -1}, "--eval.every is -1"), ({"num": 1}, "--eval.num is 1"), ({"seconds": 0.0}, "--eval.seconds is 0")],
)
def test_settings(changes, match):
    with pytest.raises(UsageError, match=match):
        EvalSettings(**changes)
