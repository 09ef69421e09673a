"""What the host knows of a run: how far it is, where the time went, and whether the numbers are finite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax

from gdl_jax.data.order import Order, digest
from gdl_jax.models.model import Model, Phased
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.state import TrainState


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


@dataclass
class Window:
    """The steps of one line of metrics.

    The line is read when the call after its last has been dispatched, so that the device need not wait for the host:
    its clock runs from one reading to the next.
    """

    start: int
    """The step before its first."""
    clock: dict[str, float]
    """`Progress.seconds` when the line before was read."""
    end: int = -1
    """Its last step, once it has ended."""
    meter: Metrics | None = None
    """Of its steps, on the device."""

    def line(self, progress: Progress, order: Order, batches: int) -> tuple[dict[str, Any], float]:
        """The line of metrics.jsonl, and the share of the time that was spent waiting for data."""
        found = jax.device_get(self.meter)
        train, data = (progress.seconds[kind] - self.clock.get(kind, 0.0) for kind in ("train", "data"))
        faulty = tuple(f"{phase}/" for phase, fault in found.faults.items() if fault.count)
        # What has seen nothing was not measured, or, where there was a fault, was not finite: those are told apart.
        seen = {name: mean for name, mean in found.means.items() if mean.count or name.startswith(faulty)}
        values = {name: mean.value() for name, mean in seen.items()}
        skipped = {f"{phase}/skipped": float(fault.count) for phase, fault in found.faults.items() if fault.count}
        line = {
            "step": self.end,
            "epoch": order.epoch(self.end * batches),
            "batch_digest": digest(order.indices((self.end - 1) * batches, batches)),
            "metrics": values | skipped,
            "seconds": progress.seconds,
            "examples_per_second": (self.end - self.start) * batches * order.batch_size / (train + data),
        }
        return line, data / (train + data)


def check_faults(
    meter: Metrics, model: Model, state: TrainState, steps: tuple[int, int], checkpoint: int | None
) -> None:
    """Stops at an update that was not finite, and so was not applied.

    Args:
        meter: of some steps.
        model: for the names of its parameters.
        state: for the same.
        steps: the first and the last of those steps.
        checkpoint: the step of the last one, if there is one.

    Raises:
        NonFiniteError: there was such an update.
    """
    found = jax.device_get(meter)
    nothing_learnt = steps[0] == 1 and not any(found.means[f"{name}/loss"].count for name in found.faults)
    for name, fault in found.faults.items():
        if not fault.count:
            continue
        wrong = ["the loss"] if fault.loss else []
        if fault.leaf >= 0:
            wrong.append(f"the gradient of {_leaf_name(model, state, name, int(fault.leaf))}")
        what = " and ".join(wrong) or "what the optimiser made of a finite gradient"
        advice = "start anew with a lower learning rate."
        if nothing_learnt:
            advice = "no update came before them: these data, initial weights or settings of the loss make it so."
        if checkpoint is not None:
            advice = f"the checkpoint of step {checkpoint} is good: go on from it with --on-nonfinite skip, or {advice}"
        raise NonFiniteError(
            f"In step {int(fault.step) + 1}, {what} of phase {name!r} {'were' if len(wrong) > 1 else 'was'} not finite "
            f"({int(fault.count)} such updates in steps {steps[0]} to {steps[1]}); {advice}"
        )


def _leaf_name(model: Model, state: TrainState, phase: str, leaf: int) -> str:
    phases = {p.name: p for p in model.phases()} if isinstance(model, Phased) else {}
    trains = phases[phase].trains if phase in phases else sorted(state.networks)
    params = {name: state.networks[name].params for name in trains}
    path, _ = jax.tree_util.tree_leaves_with_path(params)[leaf]
    return jax.tree_util.keystr(path, simple=True, separator="/")
