"""Where the time of a training step goes: `python -m benchmarks.profile`.

python -m benchmarks.profile dcgan                             by kind of instruction and by layer, and the longest
python -m benchmarks.profile "dcgan --data.size 28" --top 40   with settings of the experiment, and more of them
python -m benchmarks.profile vae --json profile.json           with all instructions as JSON

Steps on noise run once untraced, for the time of a step, and once under JAX's profiler. An instruction's time is from
its start to its end, on however many threads. The sum is not the time of a step: it is more where several instructions
run at once, and what the devices wait is not in it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from gdl_jax import runtime

# Before jax is imported.
runtime.set_defaults()

import jax  # noqa: E402
import tyro  # noqa: E402
from jax.profiler import ProfileData  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.instructions import OUTSIDE, Instruction, instructions  # noqa: E402
from benchmarks.measure import Contestant, take_turns  # noqa: E402
from benchmarks.options import StepOptions  # noqa: E402
from benchmarks.run import say  # noqa: E402
from benchmarks.subject import compile_subject, load_source  # noqa: E402
from benchmarks.table import columns, milliseconds  # noqa: E402
from experiments.command_line import parse  # noqa: E402
from experiments.registry import Experiment  # noqa: E402
from gdl_jax.errors import UsageError, run_module  # noqa: E402
from gdl_jax.files import write_json  # noqa: E402
from gdl_jax.steps.devices import make_mesh  # noqa: E402

ROUNDS, ROUND_SECONDS = 5, 0.2
PROGRAM = "benchmarks.profile"

Span = tuple[float, float, str, int | None]
"""Start, duration, instruction, and the number under which its end may be noted."""


@dataclass(frozen=True, kw_only=True)
class Options(StepOptions):
    """What to profile."""

    least: ClassVar[dict[str, float]] = StepOptions.least | {"top": 0, "steps": 1}

    name: tyro.conf.Positional[str]
    """Experiment, or package.module:attribute; settings in the same quotes."""
    top: int = 15
    """So many of the longest instructions are shown."""
    steps: int = 5
    """Traced."""


def main(arguments: list[str]) -> int:
    """Profiles.

    Returns:
        The exit code: 0, or 2 for a user's mistake.
    """
    return run_module(show, arguments)


def show(arguments: list[str]) -> None:
    """Does what the words say; see `main`."""
    options = parse(Options, arguments, prog=f"python -m {PROGRAM}", description=__doc__)
    found = profile(options.name, options.experiment(options.name), options.steps)
    if options.json is not None:
        write_json(options.json, record.surroundings(arguments, PROGRAM) | {"records": [found]})
    print(table(found, options.top))


def profile(name: str, experiment: Experiment, steps: int) -> dict[str, Any]:
    """The record of one experiment on one device.

    Raises:
        UsageError: its settings do not suit the data, or the trace has nothing of the step.
    """
    say(f"{name}: compiling")
    subject = compile_subject(name, experiment, load_source(experiment), make_mesh(jax.devices()[:1]))
    contestant = subject.synthetic()
    say(f"{name}: measuring")
    times = take_turns({"step": contestant}, rounds=ROUNDS, seconds=ROUND_SECONDS)["step"]
    known = instructions(subject.call.compiled.as_text())
    seconds, lines = trace(contestant, steps, known)
    if not seconds:
        raise UsageError("The trace has no instruction of the step; this platform's profiler does not write them.")
    return {
        "name": name,
        "steps": steps,
        **times.to_json("step_seconds"),
        "instruction_seconds": sum(seconds.values()),
        "lines": lines,
        "instructions": [asdict(known[each]) | {"seconds": spent} for each, spent in seconds.most_common()],
    }


def trace(contestant: Contestant, steps: int, known: Mapping[str, Instruction]) -> tuple[Counter[str], int]:
    """Seconds per step of every instruction that has run, and on how many of the trace's lines that was.

    A line is a thread on CPU, a stream on GPU.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            contestant.advance(steps)
        (path,) = Path(folder).rglob("*.xplane.pb")
        lines = [list(line.events) for line in _lines(list(ProfileData.from_file(str(path)).planes))]
        ends, found = _ends(lines), [_spans(line, known) for line in lines]
    seconds: Counter[str] = Counter()
    for spans in found:
        for name, own in own_times((start, duration, name) for start, duration, name, _ in spans):
            seconds[name] += own * 1e-9 / steps
    control = {name for name, instruction in known.items() if instruction.kind == "control"}
    work = [[span for span in spans if span[2] not in control] for spans in found]
    for name, more in times_after_handing_on(work, ends):
        seconds[name] += more * 1e-9 / steps
    return seconds, sum(map(bool, found))


def _lines(planes: list[Any]) -> Iterator[Any]:
    """Those of the devices, where there are such: what the host does for them is not counted beside them.

    A device's line "XLA Ops" repeats its others.
    """
    devices = [plane for plane in planes if plane.name.startswith("/device:") and any(True for _ in plane.lines)]
    for plane in devices or planes:
        lines = list(plane.lines)
        yield from [line for line in lines if line.name == "XLA Ops"] or lines


def _spans(events: Iterable[Any], known: Mapping[str, Instruction]) -> list[Span]:
    """Of the events that are of an instruction."""
    found = []
    for event in events:
        stats = dict(event.stats)
        name = str(stats.get("hlo_op", event.name))
        if name in known:
            found.append((event.start_ns, event.duration_ns, name, stats.get("_p")))
    return found


def _ends(lines: Iterable[Iterable[Any]]) -> dict[int, tuple[int, float]]:
    """On which line and when instructions have ended that hand their work on to other threads.

    So do Eigen's convolutions on CPU: the event of one lasts no longer than to hand it on; another marks the end.
    """
    ends = [(line, event) for line, events in enumerate(lines) for event in events if event.name.startswith("end: ")]
    return {
        number: (line, event.start_ns) for line, event in ends if (number := dict(event.stats).get("_c")) is not None
    }


def times_after_handing_on(
    lines: Sequence[Sequence[Span]], ends: Mapping[int, tuple[int, float]]
) -> Iterator[tuple[str, float]]:
    """How long each instruction went on after its own event, as (name, time).

    The thread that ends an instruction first does what waits for it, and notes the end afterwards: that is not of it.

    Args:
        lines: the spans of each line, none inside another.
        ends: by the number of a span the line on which its end is noted, and when.
    """
    for spans in lines:
        for start, duration, name, number in spans:
            if number in ends:
                line, end = ends[number]
                handed_on = start + duration
                others = sum(min(s + d, end) - s for s, d, *_ in lines[line] if handed_on <= s < end)
                yield name, max(0.0, end - handed_on - others)


def own_times(events: Iterable[tuple[float, float, str]]) -> Iterator[tuple[str, float]]:
    """What is left of each event (start, duration, name) of one line without the events inside it, as (name, time)."""
    open_events: list[list[Any]] = []  # end, name, own time
    for start, duration, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while open_events and open_events[-1][0] <= start:
            yield tuple(open_events.pop()[1:])
        if open_events:
            open_events[-1][2] -= duration
        open_events.append([start + duration, name, duration])
    yield from (tuple(event[1:]) for event in open_events)


def table(found: dict[str, Any], top: int) -> str:
    """By kind, by layer, and the longest instructions."""
    rows = found["instructions"]
    total = found["instruction_seconds"]
    head = (
        f"{found['name']}: a step takes {milliseconds(found)} ms; its instructions {1e3 * total:.4g} ms on "
        f"{found['lines']} threads or streams, the mean of {found['steps']} traced steps"
    )
    longest = []
    for row in rows[:top]:
        shape, layer = re.sub(r"{.*?}", "", row["shape"]), row["layer"] + " backward" * row["is_backward"]
        longest.append([row["name"], *_time(row["seconds"], total), row["kind"], shape, layer])
    parts = [
        _grouped("kind", rows, total, lambda row: row["kind"]),
        _grouped("layer", rows, total, lambda row: row["layer"]),
    ]
    if longest:
        parts.append(columns([["instruction", "ms", "share", "kind", "shape", "layer"], *longest]))
    return "\n\n".join([head, *parts])


def _grouped(title: str, rows: list[dict[str, Any]], total: float, key: Callable[[dict[str, Any]], str]) -> str:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)

    def spent(members: list[dict[str, Any]]) -> float:
        return sum(row["seconds"] for row in members)

    lines = [[title, "ms", "share", "of it backward", "instructions"]]
    for name, members in sorted(groups.items(), key=lambda group: -spent(group[1])):
        backward = spent([row for row in members if row["is_backward"]])
        share = f"{backward / spent(members):.0%}" if name != OUTSIDE and spent(members) else "-"
        lines.append([name, *_time(spent(members), total), share, str(len(members))])
    return columns(lines)


def _time(seconds: float, total: float) -> list[str]:
    return [f"{1e3 * seconds:.3f}", f"{seconds / total:.1%}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
