"""Order and pipelines: where the examples wait and how many steps a call takes changes no number."""

import jax
import numpy as np
import pytest

from gdl_jax.data.order import Order, digest
from gdl_jax.data.pipeline import DevicePipeline, HostPipeline, make_pipeline
from gdl_jax.data.source import ArraySource, DataSettings
from gdl_jax.errors import UsageError

ORDER = Order(num_examples=23, batch_size=5, seed=3)


def epoch(order, number):
    return order.indices(number * order.batches_per_epoch, order.batches_per_epoch)


@pytest.mark.parametrize("number", [0, 1, 7])
def test_an_epoch_is_a_permutation_in_disjoint_batches(number):
    found = epoch(ORDER, number)
    assert found.shape == (4, 5)
    assert len(set(found.flat)) == 20
    assert set(found.flat) <= set(range(23))
    whole = Order(num_examples=20, batch_size=5, seed=3)
    assert sorted(epoch(whole, number).flat) == list(range(20))


def test_the_order_is_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(epoch(ORDER, 2), epoch(Order(23, 5, 3), 2))
    assert (epoch(ORDER, 2) != epoch(ORDER, 3)).any()
    assert (epoch(ORDER, 2) != epoch(Order(23, 5, 4), 2)).any()
    # Seed 3 in epoch 2 is not seed 2 in epoch 3.
    assert (epoch(ORDER, 2) != epoch(Order(23, 5, 2), 3)).any()


def test_batches_do_not_depend_on_how_they_are_asked_for():
    together = ORDER.indices(0, 13)
    np.testing.assert_array_equal(together, np.concatenate([ORDER.indices(i, 1) for i in range(13)]))
    np.testing.assert_array_equal(together[7:10], ORDER.indices(7, 3))
    assert [ORDER.epoch(batch) for batch in (0, 2, 9)] == [0, 0.5, 2.25]


def test_every_example_is_left_out_at_times():
    seen = [set(epoch(ORDER, number).flat) for number in range(40)]
    assert set.union(*seen) == set(range(23))
    assert set.intersection(*seen) == set()


def test_the_digest_tells_batches_apart():
    digests = [digest(ORDER.indices(batch, 1)) for batch in range(100)]
    assert len(set(digests)) == 100
    assert all(len(text) == 8 and int(text, 16) >= 0 for text in digests)
    assert digest(ORDER.indices(0, 1).astype(np.int64)) == digests[0]
    assert digest(np.array([[1, 2]])) != digest(np.array([[2, 1]]))


@pytest.mark.parametrize(("num", "batch", "seed", "sentence"), [
    (4, 5, 0, "A batch of 5 cannot be drawn from 4 examples"),
    (4, 0, 0, "--batch-size between 1 and 4"),
])  # fmt: skip
def test_mistakes(num, batch, seed, sentence):
    with pytest.raises(UsageError, match=sentence):
        Order(num, batch, seed)


def source() -> ArraySource:
    return ArraySource("numbers", {"image": np.arange(23 * 4, dtype=np.uint8).reshape(23, 2, 2, 1),
                                   "label": np.arange(23, dtype=np.int32)})  # fmt: skip


@pytest.mark.parametrize(("steps", "batches", "start"), [(1, 1, 0), (3, 2, 0), (2, 1, 6), (1, 5, 9)])
@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 3)])
def test_both_pipelines_give_the_batches_of_the_order(steps, batches, start, rows):
    last = start + 4 * steps
    on_device, from_host = DevicePipeline(source(), ORDER, rows), HostPipeline(source(), ORDER, rows, threads=3)
    assert from_host.resident == {}
    calls = list(on_device.calls(start, steps, batches, last)), list(from_host.calls(start, steps, batches, last))
    assert [len(found) for found in calls] == [4, 4]
    for number, (indices, examples) in enumerate(zip(*calls, strict=True)):
        first = (start + number * steps) * batches
        wanted = ORDER.indices(first, steps * batches)[:, rows].reshape(steps, batches, -1)
        np.testing.assert_array_equal(indices["indices"], wanted)
        for i in range(steps):
            mine = on_device.select(source().arrays, {"indices": indices["indices"][i]})
            its = from_host.select({}, jax.tree.map(lambda x, i=i: x[i], examples))
            assert mine.keys() == its.keys() == {"image", "label"}
            for name in mine:
                np.testing.assert_array_equal(mine[name], its[name])
                np.testing.assert_array_equal(mine[name], source().arrays[name][wanted[i]])


def test_placement(monkeypatch):
    kind = lambda placement: type(make_pipeline(source(), ORDER, slice(0, 5), placement))  # noqa: E731
    assert (kind("device"), kind("host"), kind("auto")) == (DevicePipeline, HostPipeline, DevicePipeline)
    monkeypatch.setattr("gdl_jax.data.pipeline.RESIDENT_BYTES", 10)
    assert (kind("device"), kind("auto")) == (DevicePipeline, HostPipeline)


@pytest.mark.parametrize("changes", [
    {"data": DataSettings(size=8, placement="host")},
    {"steps_per_call": 5},
    {"steps_per_call": 2, "data": DataSettings(size=8, placement="host"), "batches_per_step": 3},
])  # fmt: skip
def test_training_gives_the_same_numbers(train_line, line, changes):
    """Programs that differ may round differently, by 6e-8 of a pixel in a step, and there are 20 of them."""
    changes = dict(changes)
    model = line(batches_per_step=changes.pop("batches_per_step", 1))
    wanted, found = train_line("wanted", model), train_line("found", model, **changes)
    found.assert_close(wanted, atol=1e-6)
    digests = {line["step"]: line["batch_digest"] for line in wanted.lines() if "batch_digest" in line}
    mine = {line["step"]: line["batch_digest"] for line in found.lines() if "batch_digest" in line}
    assert mine[20] == digests[20]


def test_flipping_does_not_depend_on_where_the_examples_wait(train_line):
    wanted = train_line("wanted", data=DataSettings(size=8, flip=True))
    found = train_line("found", data=DataSettings(size=8, flip=True, placement="host"))
    found.assert_close(wanted, atol=1e-6)
    plain = train_line("plain")
    colour = "state/networks/line/params/colour"
    assert np.abs(plain.leaves()[colour] - wanted.leaves()[colour]).max() > 1e-3
