"""Measures training steps: `python -m benchmarks.run`.

python -m benchmarks.run                          every registered experiment, on noise and on its own data
python -m benchmarks.run dcgan vae --peers        against the same step in PyTorch (pip install '.[peers]')
python -m benchmarks.run "dcgan --data.size 64 --architecture radford"   with settings of the experiment
python -m benchmarks.run --json results.json      the record as JSON
python -m benchmarks.run dcgan --scaling          on 1, 2, 4 and 8 devices
python -m benchmarks.run dcgan --steps-per-call 8 and so what the host costs per step
python -m benchmarks.run compare A.json B.json    ratios, and what fell by more than the spread (exit code 1)
python -m benchmarks.run table A.json [B.json]    records as the table of README
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gdl_jax import runtime

# Before jax is imported.
runtime.set_defaults()

import jax  # noqa: E402
import tyro  # noqa: E402

from benchmarks import peers, record, suite  # noqa: E402
from benchmarks.compare import compare  # noqa: E402
from benchmarks.options import StepOptions  # noqa: E402
from benchmarks.scaling import scaling  # noqa: E402
from benchmarks.table import markdown, table  # noqa: E402
from experiments.command_line import parse  # noqa: E402
from experiments.registry import load_all  # noqa: E402
from gdl_jax.errors import UsageError, run_module  # noqa: E402
from gdl_jax.files import write_json  # noqa: E402
from gdl_jax.steps.devices import make_mesh  # noqa: E402

PROGRAM = "benchmarks.run"


@dataclass(frozen=True, kw_only=True)
class Options(StepOptions):
    """What to measure."""

    least: ClassVar[dict[str, float]] = StepOptions.least | {
        "devices": 1,
        "steps_per_call": 2,
        "rounds": 1,
        "round_seconds": 0,
    }

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Experiments (default: every one that is registered), or package.module:attribute; settings in the same quotes."""
    peers: bool = False
    """Also the same step in PyTorch, in turns with ours."""
    devices: int | None = None
    """Split the batch over so many devices; on CPU they are made (default: all there are)."""
    steps_per_call: int | None = None
    """Also measure so many steps in one call, and thereby what the host costs per step."""
    scaling: bool = False
    """Also measure 1, 2, 4 and 8 devices, on CPU each number in a process of its own."""
    rounds: int = 10
    """How often everything is timed."""
    round_seconds: float = 0.5
    """The least that each of these times lasts."""

    def __post_init__(self):
        super().__post_init__()
        if self.peers and (self.devices or 1) > 1:
            raise UsageError("--peers compares on one device; leave --devices out.")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Records to show."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """JSON files of runs, which have no experiment in common."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """Two records to compare."""

    before: tyro.conf.Positional[Path]
    """JSON file of an earlier run."""
    after: tyro.conf.Positional[Path]
    """JSON file of a later one."""


def main(arguments: list[str]) -> int:
    """Measures or compares.

    Returns:
        The exit code: 0, 1 if a comparison found that something fell, 2 for a user's mistake.
    """
    return run_module(show, arguments)


def show(arguments: list[str]) -> int:
    """Does what the words say; see `main`."""
    prog = f"python -m {PROGRAM}"
    if arguments[:1] == ["compare"]:
        return show_comparison(parse(Records, arguments[1:], prog=f"{prog} compare", description=Records.__doc__))
    if arguments[:1] == ["table"]:
        files = parse(Files, arguments[1:], prog=f"{prog} table", description=Files.__doc__).files
        print(markdown([record.read(path, PROGRAM) for path in files]))
        return 0
    options = parse(Options, arguments, prog=prog, description=__doc__)
    print(table(run(options, arguments)["records"]))
    return 0


def show_comparison(records: Records) -> int:
    """Prints the table and what fell."""
    text, falls = compare(record.read(records.before, PROGRAM), record.read(records.after, PROGRAM))
    print(text)
    print("\n".join(falls) if falls else "nothing fell by more than the spread")
    return 1 if falls else 0


def run(options: Options, command: list[str]) -> dict[str, object]:
    """Measures, and writes the record after every experiment, so that an interrupted run keeps what it has."""
    experiments = {name: options.experiment(name) for name in options.names or load_all()}
    if options.peers:
        peers.load_all()
    make_cpu_devices(options.devices)
    available = jax.devices()
    wanted = options.devices or (1 if options.peers or options.scaling else len(available))
    if wanted > len(available):
        raise UsageError(f"--devices is {wanted} and there are {len(available)}; set it to {len(available)} or less.")
    mesh = make_mesh(available[:wanted])
    plan = suite.Plan(
        rounds=options.rounds,
        round_seconds=options.round_seconds,
        peers=options.peers,
        steps_per_call=options.steps_per_call,
    )
    found = record.surroundings(command, PROGRAM)
    if found["load_average"] > 1:
        say(f"the load of this machine is {found['load_average']:.1f}: other work makes these times long and uncertain")
    for name, experiment in experiments.items():
        found["records"].append(suite.measure(name, experiment, plan, mesh, say))
        if options.scaling:
            found["records"][-1]["scaling"] = scaling(
                name,
                experiment,
                options.words,
                rounds=options.rounds,
                round_seconds=options.round_seconds,
                say=say,
            )
        if options.json is not None:
            write_json(options.json, found)
    return found


def make_cpu_devices(count: int | None) -> None:
    """Asks for so many CPU devices; a process that has its devices already keeps them."""
    if count is None or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        return


def say(line: str) -> None:
    """To the terminal, beside what is printed as the result."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
