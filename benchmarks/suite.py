"""What is measured of one experiment, as the object that goes into the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from benchmarks import peers
from benchmarks.measure import Contestant, Spread, take_turns
from benchmarks.peaks import make_probes
from benchmarks.subject import Subject, compile_subject, load_source
from experiments.registry import Experiment
from experiments.workdir import config_dict
from gdl_jax.data.pipeline import DevicePipeline


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to measure, and what beside the step itself."""

    rounds: int = 10
    round_seconds: float = 0.5
    peers: bool = False
    steps_per_call: int | None = None


def measure(
    name: str, experiment: Experiment, plan: Plan, mesh: Mesh, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """The record of one experiment. All that is compared takes turns in the same rounds.

    Raises:
        UsageError: the settings do not suit the data or the devices.
    """
    source = load_source(experiment)
    say(f"{name}: compiling")
    subject = compile_subject(name, experiment, source, mesh)
    contestants = {"synthetic": subject.synthetic(), "real": subject.real()}
    if plan.steps_per_call:
        many = compile_subject(name, experiment, source, mesh, steps_per_call=plan.steps_per_call)
        contestants["many"] = many.real()
    rivals, remarks = _rivals(subject, plan, say)
    say(f"{name}: measuring")
    probes = make_probes(mesh, experiment.dtype)
    everyone = contestants | rivals | probes.contestants
    times = take_turns(everyone, rounds=plan.rounds, seconds=plan.round_seconds)
    record = _identity(subject) | _step(subject, times["synthetic"], probes.rates(times))
    record["real"] = _real(subject, times)
    if plan.steps_per_call:
        saved = times["real"].minus(times["many"])
        record["host_overhead"] = {
            "steps_per_call": plan.steps_per_call,
            **times["many"].to_json("step_seconds"),
            **saved.to_json("seconds_per_step"),
        }
    record["peers"] = {rival: _peer(times[rival], times["synthetic"]) for rival in rivals}
    return record | {"remarks": remarks}


def _rivals(subject: Subject, plan: Plan, say: Callable[[str], None]) -> tuple[dict[str, Contestant], list[str]]:
    if not plan.peers:
        return {}, []
    peers.load_all()
    # Only now, because it imports torch.
    from benchmarks.peers.base import contestants

    say(f"{subject.name}: building and compiling the peers")
    return contestants(subject)


def _identity(subject: Subject) -> dict[str, Any]:
    settings = subject.experiment
    return {
        "name": subject.name,
        "dtype": settings.dtype,
        "batch_size": settings.batch_size,
        "batches_per_step": subject.model.batches_per_step,
        "arrays": subject.data.to_json()["arrays"],
        "devices": subject.mesh.size,
        "config": config_dict(settings),
    }


def _step(subject: Subject, times: Spread, peaks: dict[str, Any]) -> dict[str, Any]:
    """The step on noise: time, throughput, arithmetic, memory."""
    seconds, devices = times.median, subject.mesh.size
    flops, accessed = subject.cost("flops"), subject.cost("bytes accessed")
    memory = subject.memory()
    return {
        "compile_seconds": subject.call.seconds,
        "traces": subject.traces,
        **times.to_json("step_seconds"),
        "rounds": len(times.values),
        "examples_per_second": subject.examples_per_step / seconds,
        "examples_per_second_per_device": subject.examples_per_step / seconds / devices,
        "flops_per_step": flops,
        "peak_fraction": flops and flops / seconds / peaks["matmul_flops_per_second"],
        "bytes_per_step": accessed,
        "bandwidth_fraction": accessed and accessed / seconds / peaks["copy_bytes_per_second"],
        "peaks": peaks,
        "peak_memory": memory["peak"],
        "memory": memory | {"allocated_peak_of_process": _allocated_peak(subject.mesh)},
    }


def _real(subject: Subject, times: dict[str, Spread]) -> dict[str, Any]:
    """The step on the experiment's own data, with all that the host does for it."""
    found = times["real"]
    return {
        "data": subject.experiment.data.name,
        "placement": "device" if isinstance(subject.pipeline, DevicePipeline) else "host",
        **found.to_json("step_seconds"),
        "examples_per_second": subject.examples_per_step / found.median,
        **found.over(times["synthetic"]).to_json("over_synthetic"),
    }


def _peer(its: Spread, ours: Spread) -> dict[str, Any]:
    """The speed-up of the fastest rounds is beside the median: other work on the machine disturbs it least."""
    fastest = min(its.values) / min(ours.values)
    return {**its.to_json("step_seconds"), **its.over(ours).to_json("speedup"), "speedup_of_fastest_rounds": fastest}


def _allocated_peak(mesh: Mesh) -> int | None:
    """The most bytes that the process has ever held on one device; None where the device does not count (CPU)."""
    counts = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in mesh.devices.flat]
    return max((count for count in counts if count is not None), default=None)
