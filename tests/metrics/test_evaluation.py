"""The measures of an `Observer` over a whole source: every example counts once, and filling not at all."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.source import ArraySource
from gdl_jax.metrics.features import PIXELS
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.order import some_of
from gdl_jax.metrics.pixels import pixel_features
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.state import TrainState
from gdl_jax.training.observer import Observer, evaluate_examples, evaluate_samples, padded_batches, protocol
from gdl_jax.training.program import make_evaluator
from gdl_jax.training.settings import RunSettings

IMAGES = np.random.default_rng(0).integers(0, 256, (13, 2, 2, 1), np.uint8)
# A first example far from the others: filling that counted would be seen.
IMAGES[0] = 255
IMAGES[1:] //= 4
SOURCE = ArraySource("some", {"image": IMAGES, "label": np.arange(13, dtype=np.int32)}, tuple("0123456789abc"))


class Brightness:
    """A model whose measures are known functions of the example."""

    image_range = (-1.0, 1.0)
    batches_per_step = 1

    def init(self, key, batch): ...
    def step(self, state, batches, key): ...

    def sample(self, state, key, num):
        return jax.random.uniform(key, (num, 2, 2, 1))

    def reconstruct(self, state, images):
        return images

    def corrupt(self, images, key):
        return images + jax.random.normal(key, images.shape)

    def evaluate(self, state, batch, key):
        noise = jax.random.normal(key, batch["label"].shape)
        return {
            "mean": batch["image"].mean((1, 2, 3)) * state.extra["factor"],
            "label": batch["label"].astype(jnp.float32),
            "one": jnp.ones_like(noise),
            "noise": noise,
        }


def measured(source: ArraySource, factor: float, devices: int = 8, batch_size: int = 8, seed: int = 0):
    mesh = make_mesh(jax.devices()[:devices])
    measure = make_evaluator(Brightness(), mesh)
    return evaluate_examples(measure, state(factor), source, batch_size=batch_size, seed=seed, mesh=mesh)


def state(factor: float) -> TrainState:
    return TrainState.create({}, {"factor": jnp.float32(factor)})


def first(num: int) -> ArraySource:
    return ArraySource("first", {name: array[:num] for name, array in SOURCE.arrays.items()}, SOURCE.classes)


@pytest.mark.parametrize("num", [1, 7, 8, 13])
@pytest.mark.parametrize(("devices", "batch_size"), [(1, 8), (8, 8), (8, 5)])
def test_filling_does_not_count(num, devices, batch_size):
    found = measured(first(num), 3, devices, batch_size)
    wanted = 3 * (2 * IMAGES[:num].astype(np.float64) / 255 - 1).mean()
    assert found["mean"] == pytest.approx(wanted, rel=1e-6)
    assert found["label"] == pytest.approx((num - 1) / 2)
    assert found["one"] == 1
    assert all(type(value) is float for value in found.values())


def test_the_same_on_one_and_eight_devices_and_noise_of_its_own_in_every_batch():
    found = [measured(SOURCE, 1, devices, seed=seed) for seed, devices in ((0, 1), (0, 8), (1, 8))]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[1]["noise"] != found[2]["noise"]
    one = measured(first(8), 1)["noise"]
    doubled = ArraySource("twice", {name: np.concatenate([a[:8], a[:8]]) for name, a in SOURCE.arrays.items()})
    two = measured(doubled, 1)["noise"]
    assert one != two


def test_nothing_is_compiled_anew_for_a_later_state(monkeypatch):
    traced = []
    for name in ("evaluate", "sample", "corrupt", "reconstruct"):
        method = getattr(Brightness, name)
        monkeypatch.setattr(Brightness, name, lambda *a, m=method, n=name, **k: traced.append(n) or m(*a, **k))
    enough = ArraySource("enough", {name: np.concatenate([a] * 5) for name, a in SOURCE.arrays.items()})
    observer = Observer(Brightness(), SOURCE, enough, RunSettings(batch_size=8), make_mesh())
    for factor in (1, 2):
        observer.evaluate(state(factor))
        observer.pictures(state(factor))
    # Two numbers of samples: those of an evaluation, and those of a picture.
    assert sorted(traced) == ["corrupt", "evaluate", "reconstruct", "sample", "sample"]


def test_batches_of_one_size_hold_every_example_once():
    batches = list(padded_batches(SOURCE, 5, slice(0, 5)))
    assert [weights.tolist() for _, weights in batches] == [[1] * 5, [1] * 5, [1, 1, 1, 0, 0]]
    labels = np.stack([batch["label"] for batch, _ in batches])
    assert labels.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 0, 0]]
    part = [(batch["label"].tolist(), len(weights)) for batch, weights in padded_batches(SOURCE, 5, slice(3, 5))]
    assert part == [([3, 4], 5), ([8, 9], 5), ([0, 0], 5)]


def test_the_distance_of_samples_and_of_training_images():
    rng = np.random.default_rng(1)
    train, test = (ArraySource(name, {"image": rng.integers(0, high, (n, 8, 8, 1), np.uint8)})
                   for name, high, n in (("train", 200, 150), ("test", 256, 100)))  # fmt: skip
    asked = []

    def sample(state, key, num):
        asked.append(num)
        return test.arrays["image"][:num][::-1]

    found = evaluate_samples(sample, state(1), train, test, seed=0)
    assert asked == [100]
    assert found["frechet_pixels"] == pytest.approx(0, abs=1e-8)
    chosen = train.arrays["image"][some_of(150, 100)]
    wanted = frechet_distance(*(moments(pixel_features(x)) for x in (chosen, test.arrays["image"])))
    assert found["frechet_pixels_of_training_images"] == pytest.approx(wanted, rel=1e-12)
    assert wanted > 1

    def measured(num):
        return evaluate_samples(sample, state(1), train, test, seed=0, num=num)

    assert list(measured(65)) == list(found)
    # 64 features have no covariance of full rank from 64 images.
    assert measured(64) == measured(0) == {}
    assert asked == [100, 65]
    few = ArraySource("few", {"image": train.arrays["image"][:64]})
    assert list(evaluate_samples(sample, state(1), few, test, seed=0)) == ["frechet_pixels"]
    assert list(protocol(few, test, (PIXELS,))) == ["frechet_pixels"]
