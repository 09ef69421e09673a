import json
import struct
from contextlib import closing

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.order import Order
from gdl_jax.steps.meters import Fault, Mean, Metrics
from gdl_jax.training.logs import Console, MetricsFile, Reporter, TensorBoard
from gdl_jax.training.progress import Progress, Window


def steps_of(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def write(path, step, *steps):
    file = MetricsFile(path, step)
    for number in steps:
        file.write({"step": number})
    file.close()


def test_the_log_has_neither_gaps_nor_repeats(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 1, 2, 3, 4)
    write(path, 2, 3, 4, 5)
    assert steps_of(path) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("rest", ['{"step": 3', '{"step": 3, "metr', "\0\0\0"])
def test_a_line_cut_short_is_dropped(tmp_path, rest):
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 1, 2)
    path.write_text(path.read_text() + rest)
    write(path, 3, 4)
    assert steps_of(path) == [1, 2, 4]


def test_what_is_not_finite_is_null(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl", 0)
    file.write({"step": 1, "metrics": {"a": float("nan"), "b": float("inf"), "c": 1.5, "d": 2}})
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line["metrics"] == {"a": None, "b": None, "c": 1.5, "d": 2}
    file.close()


def events_of(folder):
    """The events of every file, by the TFRecord format."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_tensorboard_events(tmp_path, capsys):
    board = TensorBoard(tmp_path / "board", 7)
    board.scalars({"loss": 0.5, "nothing": float("nan")}, 8)
    board.image("samples", np.zeros((2, 3, 1), np.uint8), 9)
    # Before it is closed: what a killed run has said is there.
    version, start, scalars, image = events_of(tmp_path / "board")
    board.close()
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (8, start.session_log.START)
    assert [(value.tag, value.simple_value) for value in scalars.summary.value] == [("loss", 0.5)]
    assert (scalars.step, image.step) == (8, 9)
    picture = image.summary.value[0]
    assert (picture.tag, picture.image.height, picture.image.width) == ("samples", 2, 3)
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_is_told_at_once(small_disk):
    disk = small_disk(1)
    reporter = Reporter(disk, step=0, total=10, tensorboard=True, first_process=True)
    noise = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), np.uint8)

    def fail():
        with closing(reporter):
            for step in range(3):
                reporter.pictures(step, {"samples": noise})

    with pytest.raises(OSError, match="No space left"):
        fail()


def test_only_the_first_process_writes_and_speaks(tmp_path, capsys):
    reporter = Reporter(tmp_path, step=0, total=10, tensorboard=True, first_process=False)
    reporter.metrics({"step": 1, "examples_per_second": 1.0, "metrics": {"loss": 1.0}}, 0.0)
    reporter.evaluation(1, {"test/elbo": 1.0})
    reporter.pictures(1, {"samples": np.zeros((2, 2, 1), np.uint8)})
    reporter.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_the_console_tells_each_phases_loss_and_what_was_skipped(capsys):
    console = Console(total=2000, step=0, speaks=True)
    values = {"critic/loss": 0.5, "critic/real/loss": 0.25, "critic/gradient_norm": 1.0, "generator/skipped": 3.0}
    console.report(100, 29_660.4, 0.02, values)
    console.report(200, 7.0, 0.0, {"error": 0.125})
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "step  100/2000  29,660 images/s  waiting 2%  critic/loss 0.5  generator/skipped 3",
        "step  200/2000  7 images/s  waiting 0%  error 0.125",
    ]


def test_a_line_names_what_was_measured_and_what_was_not_finite():
    """Phase "lazy" was in none of the steps; every update of "main" was skipped."""
    seen, nothing = Mean.of(jnp.float32(2.5)), Mean.of(jnp.float32(0), 0)
    means = {"lazy/loss": nothing, "main/loss": nothing, "mainly/loss": seen}
    faults = {
        name: Fault(*map(jnp.int32, (count, 0, 0, 0))) for name, count in (("lazy", 0), ("main", 3), ("mainly", 0))
    }
    window = Window(start=0, clock={}, end=3, meter=Metrics(means, faults))
    line, _ = window.line(Progress(seconds={"train": 1.0, "data": 1.0}), Order(4, 2, 0), 1)
    assert set(line["metrics"]) == {"main/loss", "main/skipped", "mainly/loss"}
    assert np.isnan(line["metrics"]["main/loss"])
    assert (line["metrics"]["mainly/loss"], line["metrics"]["main/skipped"]) == (2.5, 3)
