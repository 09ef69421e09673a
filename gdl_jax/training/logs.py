"""What a run writes while it goes on: metrics.jsonl, TensorBoard events, and the console."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from gdl_jax.files import json_text, write_text
from gdl_jax.pictures.grid import save_png

Values = Mapping[str, float]


class MetricsFile:
    """metrics.jsonl: one JSON object a line, flushed; a resumed run has neither gaps nor repeats."""

    def __init__(self, path: Path, step: int):
        """Opens the file to continue after `step`: later lines, and one cut short by a crash, are dropped."""
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= step]
        write_text(path, "".join(line + "\n" for line in kept))
        self._file = path.open("a", buffering=1)

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends a line; a number that is not finite becomes null, since JSON knows none."""
        self._file.write(json_text(line) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            json.loads(line)
        except ValueError:
            break
        lines.append(line)
    return lines


class TensorBoard:
    """The same numbers and pictures as TensorBoard events.

    Written here and now: tensorboardX's SummaryWriter leaves it to a thread, which on a full disk dies with a
    traceback, and then keeps the run waiting for it for ever.
    """

    def __init__(self, folder: Path, step: int):
        """Continues after `step`: events after it are purged when TensorBoard reads them."""
        # Here, because few commands need them and they take a second.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._proto = event_pb2.Event, summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))
        self._write(step + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def _write(self, step: int, **content: Any) -> None:
        event, _ = self._proto
        self._events.write_event(event(wall_time=time.time(), step=step, **content))
        self._events.flush()

    def scalars(self, values: Values, step: int) -> None:
        """Adds the numbers that are finite."""
        _, summary = self._proto
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        found = [summary.Value(tag=name, simple_value=value) for name, value in finite.items()]
        self._write(step, summary=summary(value=found))

    def image(self, name: str, picture: UInt8[np.ndarray, "height width channels"], step: int) -> None:
        """Adds a picture."""
        from tensorboardX.summary import image

        self._write(step, summary=image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """Closes the file."""
        self._events.close()


class Reporter:
    """Everything that a run writes and says. Only the first process has a voice; the others call it all the same."""

    def __init__(self, workdir: Path, *, step: int, total: int, tensorboard: bool, first_process: bool):
        """Continues the files of a workdir after `step`."""
        self._workdir = workdir
        self._writes = first_process
        self.console = Console(total=total, step=step, speaks=first_process)
        self._file = MetricsFile(workdir / "metrics.jsonl", step) if first_process else None
        self._board = TensorBoard(workdir / "tensorboard", step) if first_process and tensorboard else None

    def metrics(self, line: Mapping[str, Any], waiting: float) -> None:
        """A line of metrics.jsonl, the same to TensorBoard and console; `waiting` is the share of time without data."""
        if self._file:
            self._file.write(line)
        if self._board:
            rate = {"examples_per_second": line["examples_per_second"]}
            self._board.scalars(line["metrics"] | rate, line["step"])
        self.console.report(line["step"], line["examples_per_second"], waiting, line["metrics"])

    def evaluation(self, step: int, values: Values) -> None:
        """Measures on the test set."""
        if self._file:
            self._file.write({"step": step, "evaluation": values})
        if self._board:
            self._board.scalars(values, step)
        self.console.say(f"step {step}: " + ", ".join(f"{name} {value:.5g}" for name, value in values.items()))

    def pictures(self, step: int, pictures: Mapping[str, UInt8[np.ndarray, "height width channels"]]) -> None:
        """samples/000500.png, and with a prefix what is not "samples"."""
        for name, picture in pictures.items():
            prefix = "" if name == "samples" else f"{name}_"
            if self._writes:
                save_png(self._workdir / "samples" / f"{prefix}{step:06d}.png", picture)
            if self._board:
                self._board.image(name, picture, step)

    def close(self) -> None:
        """Closes all of it, even where one fails: on a full disk all do."""
        with ExitStack() as stack:
            for writer in (self._file, self._board, self.console):
                if writer:
                    stack.callback(writer.close)


class Console:
    """A progress bar on a terminal, a line per report elsewhere; silent on all processes but the first."""

    def __init__(self, *, total: int, step: int, speaks: bool):
        """Shows the progress from `step` to `total`."""
        self._speaks = speaks
        self._total = total
        show = speaks and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=step, unit="step", dynamic_ncols=True, disable=not show)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._speaks:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def advance(self, steps: int) -> None:
        """Moves the bar."""
        self._bar.update(steps)

    def report(self, step: int, rate: float, waiting: float, values: Values) -> None:
        """Shows images per second, the share of the time spent waiting for data, and each phase's loss."""
        told = {name: value for name, value in values.items() if re.fullmatch(r"[^/]+/(loss|skipped)", name)}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in (told or values).items())
        if self._bar.disable:
            width = len(str(self._total))
            self.say(f"step {step:{width}d}/{self._total}  {rate:,.0f} images/s  waiting {waiting:.0%}  {shown}")
        else:
            self._bar.set_postfix_str(f"{rate:,.0f} images/s, waiting {waiting:.0%}")

    def close(self) -> None:
        """Leaves the terminal in order."""
        self._bar.close()
