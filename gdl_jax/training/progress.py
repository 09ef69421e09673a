"""What the host knows of a run: how far it is, where the time went, and whether the numbers are finite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax

from gdl_jax.data.order import Order, digest
from gdl_jax.models.model import Model
from gdl_jax.steps.meters import Metrics
from gdl_jax.training.program import Carry


class NonFiniteError(RuntimeError):
    """A loss or a gradient was not finite, and the run was to stop then."""


@dataclass
class Progress:
    """What the host remembers of a run: it is saved with every checkpoint, so that timers continue over a resume."""

    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, float] = field(default_factory=dict)
    evaluated: int = -1
    """The step of the evaluation."""

    def notes(self) -> dict[str, Any]:
        """What a checkpoint keeps, beside the step."""
        return {"seconds": dict(self.seconds), "evaluation": self.evaluation, "evaluated": self.evaluated}

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Adds the time of the `with` block to one kind of work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - start


class Window:
    """The steps since the last line of metrics."""

    def __init__(self, progress: Progress):
        self.step = progress.step
        self._seconds = dict(progress.seconds)

    def close(self, meter: Metrics, progress: Progress, order: Order, batches: int) -> tuple[dict[str, Any], float]:
        """The line of metrics.jsonl, and the share of the time that was spent waiting for data."""
        train, data = (progress.seconds[kind] - self._seconds.get(kind, 0.0) for kind in ("train", "data"))
        step = progress.step
        found = jax.device_get(meter)
        values = {name: mean.value() for name, mean in found.means.items()}
        skipped = {f"{phase}/skipped": float(fault.count) for phase, fault in found.faults.items() if fault.count}
        line = {
            "step": step,
            "epoch": order.epoch(step * batches),
            "batch_digest": digest(order.indices((step - 1) * batches, batches)),
            "metrics": values | skipped,
            "seconds": progress.seconds,
            "examples_per_second": (step - self.step) * batches * order.batch_size / (train + data),
        }
        return line, data / (train + data)


def check_faults(carry: Carry, model: Model, since: int, checkpoint: int | None) -> None:
    """Stops at an update that was not finite, and so was not applied.

    Args:
        carry: with the meter since the last line of metrics.
        model: for the names of its parameters.
        since: the step of that line.
        checkpoint: the step of the last one, if there is one.

    Raises:
        NonFiniteError: there was such an update.
    """
    for name, fault in jax.device_get(carry.meter.faults).items():
        if not fault.count:
            continue
        wrong = ["the loss"] if fault.loss else []
        if fault.leaf >= 0:
            wrong.append(f"the gradient of {_leaf_name(model, carry, name, int(fault.leaf))}")
        what = " and ".join(wrong) or "what the optimiser made of a finite gradient"
        advice = "start anew with a lower learning rate."
        if checkpoint is not None:
            advice = f"the checkpoint of step {checkpoint} is good: go on from it with --on-nonfinite skip, or {advice}"
        raise NonFiniteError(
            f"In step {int(fault.step) + 1}, {what} of phase {name!r} was not finite ({int(fault.count)} such updates "
            f"in steps {since + 1} to {int(carry.state.step)}); {advice}"
        )


def _leaf_name(model: Model, carry: Carry, phase: str, leaf: int) -> str:
    phases = {p.name: p for p in getattr(model, "phases", tuple)()}
    trains = phases[phase].trains if phase in phases else sorted(carry.state.networks)
    params = {name: carry.state.networks[name].params for name in trains}
    path, _ = jax.tree_util.tree_leaves_with_path(params)[leaf]
    return jax.tree_util.keystr(path, simple=True, separator="/")
