"""The same global batch on 1, 2, 4 and 8 devices.

On CPU each count has a process of its own, because a process with eight devices has so many threads that a step on one
of them is slower than in a process with one: as the reference it would flatter the others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.measure import take_turns
from benchmarks.subject import compile_subject, load_source
from experiments.registry import Experiment
from gdl_jax.errors import UsageError
from gdl_jax.steps.devices import make_mesh

COUNTS = (1, 2, 4, 8)

Measured = Mapping[int, Mapping[str, Any]]
"""Number of devices -> "step_seconds" with quartiles."""


def scaling(
    name: str,
    experiment: Experiment,
    words: Sequence[str],
    *,
    rounds: int,
    round_seconds: float,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """One row per count that divides the batch.

    Args:
        name: of the experiment.
        experiment: what is measured.
        words: of the command line, that make this experiment in a process of its own.
        rounds: how often each count is timed.
        round_seconds: the least that each of these times lasts.
        say: where to report progress.
    """
    shared = jax.devices()[0].platform == "cpu"
    counts = [n for n in COUNTS if experiment.batch_size % n == 0 and (shared or n <= jax.device_count())]
    if shared:
        words = [name, *words, "--rounds", str(rounds), "--round-seconds", str(round_seconds)]
        measured = in_children(words, counts, say)
    else:
        measured = in_process(name, experiment, counts, rounds=rounds, seconds=round_seconds)
    return rows(measured, shared=shared)


def rows(measured: Measured, *, shared: bool) -> list[dict[str, Any]]:
    """With speed-up and efficiency; the quartiles of a speed-up are the widest that those of the two times allow."""
    one = measured[1]
    found = []
    for count, times in measured.items():
        (low, high), (fast, slow) = one["step_seconds_quartiles"], times["step_seconds_quartiles"]
        speedup, ideal = one["step_seconds"] / times["step_seconds"], 1 if shared else count
        found.append(
            {
                "devices": count,
                **{key: value for key, value in times.items() if key.startswith("step_seconds")},
                "speedup": speedup,
                "speedup_quartiles": [low / slow, high / fast] if count > 1 else [1.0, 1.0],
                "ideal_speedup": ideal,
                "efficiency": speedup / ideal,
                "devices_share_cores": shared,
            }
        )
    return found


def in_process(name: str, experiment: Experiment, counts: Sequence[int], *, rounds: int, seconds: float) -> Measured:
    """On the first devices of this process, in turns."""
    source = load_source(experiment)
    contestants = {
        str(count): compile_subject(name, experiment, source, make_mesh(jax.devices()[:count])).synthetic()
        for count in counts
    }
    times = take_turns(contestants, rounds=rounds, seconds=seconds)
    return {count: times[str(count)].to_json("step_seconds") for count in counts}


def in_children(words: Sequence[str], counts: Sequence[int], say: Callable[[str], None]) -> Measured:
    """One process after another, each with its own number of CPU devices.

    Raises:
        UsageError: one of them failed.
    """
    flags = re.sub(r"--xla_force_host_platform_device_count=\S+", "", os.environ.get("XLA_FLAGS", ""))
    # In the user's folder, where experiments outside the tree and relative paths are found.
    search = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = {}
    for count in counts:
        say(f"{words[0]}: measuring a process with {count} device(s)")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record.json"
            command = [sys.executable, "-m", "benchmarks.run", *words, "--devices", str(count), "--json", str(path)]
            environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": search}
            child = subprocess.run(command, env=environment, capture_output=True, text=True)
            if child.returncode:
                said = (child.stderr.strip().splitlines() or ["no message"])[-1]
                raise UsageError(f"The process that measures {count} devices ended with {child.returncode}: {said}")
            found[count] = json.loads(path.read_text())["records"][0]
    return found
