"""The training loop. It knows no model: only how to feed one, watch it, keep it and stop it."""

from __future__ import annotations

import shutil
from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jax.sharding import Mesh

from gdl_jax.data.order import Order
from gdl_jax.data.pipeline import make_pipeline
from gdl_jax.data.source import Source
from gdl_jax.errors import UsageError
from gdl_jax.models.model import Model
from gdl_jax.steps.devices import check_divisible, local_rows, make_mesh, put, replicated, split_along
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.interrupt import Interrupt
from gdl_jax.training.logs import Reporter
from gdl_jax.training.observer import Observer
from gdl_jax.training.processes import any_process, meet
from gdl_jax.training.profiler import Tracer
from gdl_jax.training.program import Carry, abstract_carry, check_flip, compile_call, empty_meter, init_state
from gdl_jax.training.progress import Progress, Window, check_faults
from gdl_jax.training.sample_metrics import SampleMetrics
from gdl_jax.training.settings import RunSettings

CALLS_IN_FLIGHT = 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, on what, and where it is kept."""

    model: Model
    train: Source
    test: Source
    settings: RunSettings
    workdir: Path
    monitor: tuple[str, Literal["min", "max"]] | None = None
    """The measure whose best value marks the best checkpoint, where `metrics` have none."""
    metrics: SampleMetrics | None = None
    """What the settings `eval` ask for."""
    profile: bool = False
    """Write a trace of some calls to workdir/profile."""


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
    check_flip(model, job.train.spec, settings)
    order = Order(len(job.train), settings.batch_size, settings.seed)
    pipeline = make_pipeline(job.train, order, local_rows(settings.batch_size, mesh), settings.data.placement)
    observer = Observer(model, job.train, job.test, settings, mesh)

    with ExitStack() as stack:
        checkpoints = stack.enter_context(closing(_open_checkpoints(job)))
        carry, progress = _start(job, checkpoints, mesh)
        reporter = stack.enter_context(closing(_open_reporter(job, progress)))
        if progress.step >= settings.steps:
            done = f"all {settings.steps} steps are done"
            beyond = f"the run is at step {progress.step}, beyond --steps {settings.steps}"
            reporter.console.say(f"{done if progress.step == settings.steps else beyond}; raise --steps to train on")
            return progress
        for sentence in observer.left_out():
            reporter.console.say(sentence)
        check_calls(progress.step, settings)
        check_disk(job.workdir, carry, settings)

        if progress.step == 0:
            with progress.timed("sample"):
                reporter.pictures(0, observer.pictures(carry.state))
            reporter.console.say(f"first pictures: {job.workdir / 'samples'}")
        with progress.timed("compile"):
            call = compile_call(model, pipeline, carry, settings, mesh)
        reporter.console.say(f"compiled the training step in {call.seconds:.1f} s")

        resident = put(dict(pipeline.resident), replicated(mesh))
        feed = pipeline.calls(progress.step, settings.steps_per_call, model.batches_per_step, settings.steps)
        window, saved = Window(progress.step, dict(progress.seconds)), max(checkpoints.steps(), default=None)
        ended: Window | None = None
        in_flight: deque[jax.Array] = deque()
        traces = job.workdir / "profile" if job.profile and jax.process_index() == 0 else None
        tracer = stack.enter_context(closing(Tracer(traces)))

        def due(every: int) -> bool:
            """Whether a multiple of `every` lies within the last call, or the run has ended; 0 is never due."""
            step = progress.step
            if not every:
                return False
            return step // every > (step - settings.steps_per_call) // every or step >= settings.steps

        def log() -> None:
            """Reads and reports the window that has ended, if there is one."""
            nonlocal ended
            if ended is None:
                return
            with progress.timed("train"):
                jax.block_until_ready(ended.meter)
            if settings.on_nonfinite == "stop":
                check_faults(ended.meter, model, carry.state, (ended.start + 1, ended.end), saved)
            reporter.metrics(*ended.line(progress, order, model.batches_per_step))
            window.clock, ended = dict(progress.seconds), None

        def meeting() -> bool:
            return meet(progress.step // settings.steps_per_call)

        while progress.step < settings.steps and not (meeting() and interrupt.stops()):
            with progress.timed("data"):
                payload = put(dict(next(feed)), split_along(mesh, 2))
            with progress.timed("train"), tracer:
                carry, reached = call(carry, resident, payload)
                # The host stays two calls ahead: enough to keep the device busy, few enough to stop soon.
                in_flight.append(reached)
                if len(in_flight) > CALLS_IN_FLIGHT:
                    jax.block_until_ready(in_flight.popleft())
            progress.step += settings.steps_per_call

            log()
            if due(settings.log_every):
                window.end, window.meter = progress.step, carry.meter
                ended, window = window, Window(progress.step, window.clock)
                carry = carry.replace(meter=empty_meter(carry, mesh))
            intervals = settings.evaluate_every, settings.eval.every, settings.sample_every, settings.checkpoint_every
            if any(map(due, intervals)):
                log()
                with progress.timed("train"):
                    jax.block_until_ready(carry)
                if settings.on_nonfinite == "stop":
                    check_faults(carry.meter, model, carry.state, (window.start + 1, progress.step), saved)
            found: dict[str, float] = {}
            if due(settings.evaluate_every):
                with progress.timed("evaluate"):
                    found = observer.evaluate(carry.state)
            measured = _measure(job, carry, progress, reporter) if due(settings.eval.every) else {}
            if found or measured:
                progress.evaluation, progress.evaluated = found | measured, progress.step
                reporter.evaluation(progress.step, progress.evaluation)
            if due(settings.sample_every):
                with progress.timed("sample"):
                    reporter.pictures(progress.step, observer.pictures(carry.state))
            if due(settings.checkpoint_every) or measured or _score(progress, job) is not None:
                _save(checkpoints, carry, progress, job)
                saved = progress.step
            if meeting():
                checkpoints.poll()
            reporter.console.advance(settings.steps_per_call)

        log()
        if saved != progress.step:
            if settings.on_nonfinite == "stop":
                check_faults(carry.meter, model, carry.state, (window.start + 1, progress.step), saved)
            _save(checkpoints, carry, progress, job)
        with progress.timed("checkpoint"):
            checkpoints.wait()
    return progress


def _measure(job: Job, carry: Carry, progress: Progress, reporter: Reporter) -> dict[str, float]:
    """The metrics of samples, unless they have had their time; the log says what they took."""
    limit, before = job.settings.eval.seconds, progress.seconds.get("metrics", 0.0)
    said = f"of the {limit:g} s of --eval.seconds"
    # The clocks of the processes differ, and all have to do the same.
    if any_process(before >= limit):
        reporter.console.say(f"step {progress.step}: no metrics, for {before:.1f} {said} are spent")
        return {}
    with progress.timed("metrics"):
        found = job.metrics.values(carry.state)
    spent = progress.seconds["metrics"]
    reporter.console.say(f"step {progress.step}: metrics took {spent - before:.1f} s, {spent:.1f} {said} are spent")
    return found


def _best_by(job: Job) -> tuple[str, Literal["min", "max"]] | None:
    """The measure whose best value marks the best checkpoint."""
    return (job.metrics.best if job.metrics else None) or job.monitor


def _open_checkpoints(job: Job) -> Checkpoints:
    best = _best_by(job)
    return Checkpoints(
        job.workdir / "checkpoints",
        keep=job.settings.keep_checkpoints,
        higher_is_better=best is not None and best[1] == "max",
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
    if 0 < progress.step < job.settings.steps:
        reporter.console.say(f"continuing from step {progress.step}")
    return reporter


def _score(progress: Progress, job: Job) -> float | None:
    """Of the state, if it has just been evaluated by the measure that chooses the best checkpoint."""
    best = _best_by(job)
    return progress.evaluation.get(best[0]) if best and progress.evaluated == progress.step else None


def _save(checkpoints: Checkpoints, carry: Carry, progress: Progress, job: Job) -> None:
    name, better = _best_by(job) or (None, None)
    # A distance to fewer samples is another number, and so is one in other features, whose name is in the measure's.
    by = {"measure": name, "better": better, "samples": job.metrics.num_samples if job.metrics else None}
    with progress.timed("checkpoint"):
        checkpoints.save(progress.step, carry, progress.notes(), _score(progress, job), by if name else None)


def check_calls(step: int, settings: RunSettings) -> None:
    """The steps that are left have to fill whole calls."""
    left = settings.steps - step
    if left % settings.steps_per_call:
        raise UsageError(
            f"From step {step} to --steps {settings.steps} there are {left} steps, no multiple of --steps-per-call "
            f"{settings.steps_per_call}; set --steps to {settings.steps + -left % settings.steps_per_call}."
        )


def checkpoint_bytes(carry: Carry) -> int:
    """Bytes of one checkpoint before compression."""
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(carry))


def disk_bytes(carry: Carry, settings: RunSettings) -> int:
    """What a run needs: the checkpoints that stay, the best, the one being written, and 16 MiB for all else."""
    return checkpoint_bytes(carry) * (settings.keep_checkpoints + 2) + 2**24


def check_disk(workdir: Path, carry: Carry, settings: RunSettings, *, freed: int = 0) -> None:
    """Raises a UsageError where the disk of a workdir, which need not be there yet, has too little room for a run.

    Args:
        workdir: of the run.
        carry: arrays, or their shapes.
        settings: of the run.
        freed: bytes that will be freed before.
    """
    needed = disk_bytes(carry, settings)
    disk = shutil.disk_usage(next(path for path in (workdir, *workdir.absolute().parents) if path.is_dir()))
    free = disk.free + freed
    # What has no size is no disk: writing there fails with an error of its own.
    if disk.total and free < needed:
        raise UsageError(
            f"{workdir} has {free / 2**20:,.0f} MiB of free disk and this run needs about {needed / 2**20:,.0f} MiB; "
            "free some, choose another --workdir, or lower --keep-checkpoints."
        )
