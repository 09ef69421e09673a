"""The training loop. It knows no model: only how to feed one, watch it, keep it and stop it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jax.sharding import Mesh

from gdl_jax.data.order import Order, digest
from gdl_jax.data.pipeline import make_pipeline
from gdl_jax.data.source import Source
from gdl_jax.errors import UsageError
from gdl_jax.models.model import Model
from gdl_jax.steps.meters import Metrics
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.interrupt import Interrupt
from gdl_jax.training.logs import Reporter
from gdl_jax.training.observer import Observer
from gdl_jax.training.program import Carry, abstract_carry, compile_call, empty_meter, init_state
from gdl_jax.training.settings import RunSettings
from gdl_jax.training.sharding import (
    any_process,
    check_divisible,
    local_rows,
    make_mesh,
    put,
    replicated,
    split_along,
)

PROFILED_CALLS = 5


class NonFiniteError(RuntimeError):
    """A loss or a gradient was not finite, and the run was to stop then."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, on what, and where it is kept."""

    model: Model
    train: Source
    test: Source
    settings: RunSettings
    workdir: Path
    monitor: tuple[str, Literal["min", "max"]] | None = None
    """The measure whose best value marks the best checkpoint."""
    profile: bool = False
    """Write a trace of some calls to workdir/profile."""


@dataclass
class Progress:
    """What the host remembers of a run: it is saved with every checkpoint, so that timers continue over a resume."""

    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, float] = field(default_factory=dict)
    evaluated: int = -1
    """The step of the evaluation."""

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Adds the time of the `with` block to one kind of work."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] = self.seconds.get(kind, 0.0) + time.perf_counter() - start


def train(job: Job, interrupt: Interrupt) -> Progress:
    """Trains from the newest checkpoint, or from the beginning, until the last step or a signal.

    Returns:
        How far the run has come; a checkpoint of this step exists.

    Raises:
        UsageError: the settings, the data or the workdir do not allow it.
        CheckpointError: a checkpoint could not be written.
        NonFiniteError: a loss or a gradient was not finite.
    """
    settings, model = job.settings, job.model
    mesh = make_mesh()
    check_divisible(settings.batch_size, mesh)
    order = Order(len(job.train), settings.batch_size, settings.seed)
    pipeline = make_pipeline(job.train, order, local_rows(settings.batch_size, mesh), settings.data.placement)
    observer = Observer(model, job.train, job.test, settings, mesh)

    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(open_checkpoints(job)))
        carry, progress = _start(job, checkpoints, mesh)
        reporter = stack.enter_context(closing(_open_reporter(job, progress)))
        if progress.step >= settings.steps:
            reporter.console.say(f"all {settings.steps} steps are done; raise --steps to train on")
            return progress
        _check_disk(job.workdir, carry, settings)

        if progress.step == 0:
            with progress.timed("sample"):
                reporter.pictures(0, observer.pictures(carry.state))
            reporter.console.say(f"first samples: {job.workdir / 'samples' / '000000.png'}")
        with progress.timed("compile"):
            call = compile_call(model, pipeline, carry, settings, mesh)
        reporter.console.say(f"compiled the training step in {call.seconds:.1f} s")

        resident = put(dict(pipeline.resident), replicated(mesh))
        feed = pipeline.calls(progress.step, settings.steps_per_call, model.batches_per_step, settings.steps)
        window, saved = _Window(progress), progress.step if progress.step else -1
        tracer = stack.enter_context(closing(_Tracer(job)))

        while progress.step < settings.steps and not any_process(interrupt.received is not None):
            with progress.timed("data"):
                payload = put(dict(next(feed)), split_along(mesh, 2))
            with progress.timed("train"), tracer:
                carry = call(carry, resident, payload)
            progress.step += settings.steps_per_call

            if _due(settings.log_every, progress.step, settings) or _due(
                settings.checkpoint_every, progress.step, settings
            ):
                with progress.timed("train"):
                    jax.block_until_ready(carry)
                _check_faults(carry, model, settings, window.step)
            if _due(settings.log_every, progress.step, settings):
                reporter.metrics(*window.close(carry.meter, progress, order, model.batches_per_step))
                carry = carry.replace(meter=empty_meter(carry, mesh))
                window = _Window(progress)
            if _due(settings.evaluate_every, progress.step, settings):
                with progress.timed("evaluate"):
                    progress.evaluation, progress.evaluated = observer.evaluate(carry.state), progress.step
                reporter.evaluation(progress.step, progress.evaluation)
            if _due(settings.sample_every, progress.step, settings):
                with progress.timed("sample"):
                    reporter.pictures(progress.step, observer.pictures(carry.state))
            if _due(settings.checkpoint_every, progress.step, settings):
                _save(checkpoints, carry, progress, job)
                saved = progress.step
            checkpoints.poll()
            reporter.console.advance(settings.steps_per_call)

        if saved != progress.step:
            _check_faults(carry, model, settings, window.step)
            _save(checkpoints, carry, progress, job)
        with progress.timed("checkpoint"):
            checkpoints.wait()
    return progress


def open_checkpoints(job: Job, *, read_only: bool = False) -> Checkpoints:
    """The checkpoints of a job's workdir."""
    return Checkpoints(
        job.workdir / "checkpoints",
        keep=job.settings.keep_checkpoints,
        higher_is_better=job.monitor is not None and job.monitor[1] == "max",
        read_only=read_only,
    )


def _start(job: Job, checkpoints: Checkpoints, mesh: Mesh) -> tuple[Carry, Progress]:
    settings = job.settings
    abstract = abstract_carry(job.model, job.train.spec, settings.batch_size, mesh)
    restored = checkpoints.restore(abstract)
    if restored is None:
        state = init_state(job.model, job.train.spec, settings.batch_size, settings.seed, mesh)
        return Carry(state, empty_meter(abstract, mesh)), Progress()
    checkpoints.set_aside_after(restored.step)
    return restored.tree, Progress(step=restored.step, **restored.notes)


def _open_reporter(job: Job, progress: Progress) -> Reporter:
    reporter = Reporter(
        job.workdir,
        step=progress.step,
        total=job.settings.steps,
        tensorboard=job.settings.tensorboard,
        first_process=jax.process_index() == 0,
    )
    if progress.step:
        reporter.console.say(f"continuing from step {progress.step}")
    return reporter


def _due(every: int, step: int, settings: RunSettings) -> bool:
    """Whether a multiple of `every` lies within the last call, or the run has ended."""
    return step // every > (step - settings.steps_per_call) // every or step >= settings.steps


def _save(checkpoints: Checkpoints, carry: Carry, progress: Progress, job: Job) -> None:
    score = None
    if job.monitor is not None and progress.evaluated == progress.step:
        score = progress.evaluation[job.monitor[0]]
    with progress.timed("checkpoint"):
        notes = {
            "seconds": dict(progress.seconds),
            "evaluation": progress.evaluation,
            "evaluated": progress.evaluated,
        }
        checkpoints.save(progress.step, carry, notes, score)


class _Window:
    """The steps since the last line of metrics."""

    def __init__(self, progress: Progress):
        self.step = progress.step
        self._seconds = dict(progress.seconds)

    def close(self, meter: Metrics, progress: Progress, order: Order, batches: int) -> tuple[dict, float]:
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


def _check_faults(carry: Carry, model: Model, settings: RunSettings, since: int) -> None:
    if settings.on_nonfinite == "skip":
        return
    for name, fault in jax.device_get(carry.meter.faults).items():
        if fault.count:
            leaf = _leaf_name(model, carry, name, int(fault.leaf))
            what = " and ".join(
                text
                for text, wrong in (("the loss", fault.loss), (f"the gradient of {leaf}", fault.leaf >= 0))
                if wrong
            )
            raise NonFiniteError(
                f"In step {int(fault.step)}, {what} of phase {name!r} was not finite ({int(fault.count)} such updates "
                f"in steps {since} to {int(carry.state.step)}); the last checkpoint is good: go on from it with "
                "--on-nonfinite skip, or start anew with a lower learning rate."
            )


def _leaf_name(model: Model, carry: Carry, phase: str, leaf: int) -> str:
    phases = {p.name: p for p in getattr(model, "phases", tuple)()}
    trains = phases[phase].trains if phase in phases else sorted(carry.state.networks)
    params = {name: carry.state.networks[name].params for name in trains}
    path, _ = jax.tree_util.tree_leaves_with_path(params)[leaf]
    return jax.tree_util.keystr(path, simple=True, separator="/")


def checkpoint_bytes(carry: Carry) -> int:
    """Bytes of one checkpoint before compression."""
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(carry))


def disk_bytes(carry: Carry, settings: RunSettings) -> int:
    """What a run needs: the checkpoints that stay, the best, the one being written, and 16 MiB for all else."""
    return checkpoint_bytes(carry) * (settings.keep_checkpoints + 2) + 2**24


def _check_disk(workdir: Path, carry: Carry, settings: RunSettings) -> None:
    needed = disk_bytes(carry, settings)
    free = shutil.disk_usage(workdir).free
    if free < needed:
        raise UsageError(
            f"{workdir} has {free / 2**20:,.0f} MiB of free disk and this run needs about {needed / 2**20:,.0f} MiB; "
            "free some, choose another --workdir, or lower --keep-checkpoints."
        )


class _Tracer:
    """Entered around every call; traces some of them, after the first."""

    def __init__(self, job: Job):
        self._folder = job.workdir / "profile" if job.profile and jax.process_index() == 0 else None
        self._calls = 0
        self._running = False

    def __enter__(self) -> None:
        if self._folder and self._calls == 1:
            jax.profiler.start_trace(str(self._folder))
            self._running = True

    def __exit__(self, *_: object) -> None:
        self._calls += 1
        if self._calls > PROFILED_CALLS:
            self.close()

    def close(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
