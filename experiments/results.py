"""The results of whole trainings: `python -m experiments.results` makes RESULTS.md from records, and records.

    python -m experiments.results measure dcgan --seeds 0 1 2 --metrics fid,kid,prdc
    python -m experiments.results table

`measure` trains an experiment with each seed and evaluates it, with the launcher's own commands in processes of their
own, and writes what `evaluate --json` said, with all that it takes to do it again, to results/NAME.json. What is
already trained is not trained again. `table` writes RESULTS.md from all records; nothing in it is typed.
"""

from __future__ import annotations

import datetime
import inspect
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from gdl_jax import runtime

if __name__ == "__main__":
    runtime.set_defaults()

import numpy as np
import tyro

from experiments import workdir as workdirs
from experiments.command_line import parse, parse_training
from experiments.hardware import device
from experiments.registry import Experiment, find
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError, nearest, run_module
from gdl_jax.files import write_json, write_text
from gdl_jax.metrics.suite import check_names
from gdl_jax.models.model import Samples

FORMAT = 1
RECORDS = Path(__file__).parent / "results"
TABLE = Path(__file__).parent / "RESULTS.md"
RUNS = Path("runs/results")

PROTOCOL = (
    ("data", "data"),
    ("image_shape", "images"),
    ("split", "split"),
    ("data_sha256", "SHA-256 of its images"),
    ("real", "images of the data"),
    ("samples", "samples"),
    ("features", "features"),
    ("features_sha256", "SHA-256 of their weights"),
    ("resize", "resized"),
)
"""What results have to have in common to stand in one table, and its name there."""

COPY = "nearest_training_image"
"""Which training images cannot have."""

OF_SAMPLES = (("parameters", "parameters"), ("batch_norm", "batch norm"), ("classes_of_samples", "classes"))
"""How a run's samples were drawn, and its name in the text below the table."""

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Train, evaluate and write a record. What follows -- are settings of the experiment."""

    name: Annotated[str, tyro.conf.Positional]
    """Of the experiment."""
    label: str | None = None
    """Of the record and its row (default: the name)."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each."""
    metrics: str = "fid,kid,prdc"
    """See evaluate."""
    features: str | None = None
    """See evaluate."""
    num: int | None = None
    """Samples; see evaluate."""

    @property
    def record(self) -> str:
        """Its name."""
        return self.label or self.name

    def evaluation(self) -> list[str]:
        """The settings of `evaluate`."""
        words = {"--metrics": self.metrics, "--features": self.features, "--num": self.num}
        return [str(word) for option, value in words.items() if value is not None for word in (option, value)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Write RESULTS.md from the records."""


VERBS = {"measure": Measure, "table": Table}


def check_measure(options: Measure, words: Sequence[str]) -> None:
    """Before hours of training.

    Args:
        options: what is to be measured.
        words: settings of the experiment.

    Raises:
        UsageError: there are no such settings, the model draws no images, or a seed is given twice.
    """
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        given = " ".join(map(str, options.seeds))
        raise UsageError(f"--seeds are {given}; every run needs a seed of its own, for equal ones are one run.")
    check_names(options.metrics.split(","))
    entry = find(options.name)
    if not issubclass(entry, Experiment):
        raise UsageError(f"{options.name} is a study, which has no samples to measure.")
    _, experiment = parse_training(options.name, entry, words)
    if not isinstance(experiment.build(DataSpec.of(load(experiment.data, "train"))), Samples):
        raise UsageError(f"{options.name} draws no images that could be measured.")


def measure(options: Measure, words: Sequence[str]) -> Record:
    """Trains and evaluates; see the module.

    Args:
        options: what is measured.
        words: settings of the experiment.

    Raises:
        UsageError: a command failed.
    """
    name, label, seeds, evaluation = options.name, options.record, options.seeds, options.evaluation()
    runs = []
    for seed in seeds:
        workdir = RUNS / f"{label}_{seed}"
        train = [name, *words, "--seed", str(seed), "--workdir", str(workdir)]
        before = _trained(workdir)
        _launch(train, echo=True)
        after = _trained(workdir)
        evaluate = ["evaluate", str(workdir), *evaluation, "--json"]
        seconds, found = _launch(evaluate)
        runs.append(
            {
                "seed": seed,
                "train": workdirs.command(train),
                # Who continues a run writes its revision into the folder, also where there is nothing left to train.
                "trained": [x for x in (before, after) if x] if before.get("step") != after["step"] else [before],
                "evaluate": workdirs.command(evaluate),
                "evaluate_seconds": seconds,
                "results": json.loads(found),
            }
        )
    floor = ["evaluate", str(RUNS / f"{label}_{seeds[0]}"), *evaluation, "--images", "train", "--json"]
    _, found = _launch(floor)
    return {
        "format": FORMAT,
        "name": label,
        "experiment": name,
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git": workdirs.git_state(),
        "versions": workdirs.versions(),
        "device": device(),
        "load_average": os.getloadavg()[0],
        "runs": runs,
        "floor": {"evaluate": workdirs.command(floor), "results": json.loads(found)},
    }


def _launch(words: Sequence[str], *, echo: bool = False) -> tuple[float, str]:
    """Seconds, and what the launcher printed."""
    begun = time.perf_counter()
    print(workdirs.command(words), file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", *words],
        stdout=None if echo else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"`{workdirs.command(words)}` failed with exit code {done.returncode}.")
    return time.perf_counter() - begun, done.stdout or ""


def _trained(workdir: Path) -> dict[str, Any]:
    """How far a run is, of which revision, on what and for how long; {} where there is none."""
    if not (workdir / "metrics.jsonl").exists():
        return {}
    saved = json.loads((workdir / "config.json").read_text())
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "seconds" in line][-1]
    found = {key: saved[key] for key in ("git", "versions", "devices", "started")}
    return {"step": last["step"], "seconds": last["seconds"], **found}


def read() -> list[Record]:
    """All records, by name.

    Raises:
        UsageError: a file is none.
    """
    found = []
    for path in sorted(RECORDS.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path} is no JSON ({error}); measure it again.") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise UsageError(f"{path} is no record of format {FORMAT}; measure it again.")
        found.append(record)
    return found


def render(records: Sequence[Record]) -> str:
    """RESULTS.md: one table for each protocol, its floor first, then how every row came about."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_protocol(record), []).append(record)
    parts = [
        "# Results",
        "Made by `python -m experiments.results table` from the records in `results/`; each row is what `evaluate` "
        "said of runs with different seeds: their mean, and after ± their standard deviation. The first row of a table "
        "compares training images with test images, real with real: what samples of a perfect model would reach, for "
        "two finite sets never have a distance of 0. Its distance to the nearest training image is left empty, since a "
        "training image is its own copy. What samples can be held against there is the distance of the test images, "
        "which no model has seen: samples far below it are copies. Numbers of two tables cannot be compared.",
        *(part for protocol, group in groups.items() for part in _section(protocol, group)),
    ]
    return "\n\n".join(parts) + "\n"


def _protocol(record: Record) -> tuple[str, ...]:
    said = next(iter(record["runs"][0]["results"].values()))["protocol"]
    return tuple(str(said.get(key, "")) for key, _ in PROTOCOL)


def _section(protocol: tuple[str, ...], records: Sequence[Record]) -> list[str]:
    facts = dict(zip((key for key, _ in PROTOCOL), protocol, strict=True))
    names = list(dict.fromkeys(name for record in records for name in record["runs"][0]["results"]))
    rows = [["", "runs", "steps", *names]]
    floor = records[0]["floor"]["results"]
    rows.append(["training images", "", "", *(_value([floor[n]] if n in floor and n != COPY else []) for n in names)])
    for record in records:
        runs = [run["results"] for run in record["runs"]]
        steps = sorted({next(iter(run.values()))["protocol"]["step"] for run in runs})
        cells = [_value([run[n] for run in runs if n in run]) for n in names]
        rows.append([f"`{record['name']}`", str(len(runs)), " / ".join(f"{step:,}" for step in steps), *cells])
    said = [f"{title}: {facts[key]}" for key, title in PROTOCOL if facts[key]]
    meanings: dict[str, dict[str, None]] = {}
    for record in records:
        for name, result in record["runs"][0]["results"].items():
            meanings.setdefault(result["protocol"]["measure"], {})[f"`{name}`"] = None
    return [
        f"## {facts['data']} {facts['image_shape']}, seen as {facts['features']}",
        "\n".join(f"- {line}" for line in said),
        _table(rows),
        "\n".join(f"- {', '.join(which)}: {meaning}" for meaning, which in meanings.items()),
        *map(_how, records),
    ]


def _value(results: Sequence[Mapping[str, Any]]) -> str:
    # A value that is not finite is null in JSON.
    values = np.array([result["value"] for result in results if result["value"] is not None])
    if not len(values):
        return ""
    mean = f"{values.mean():.4g}"
    if len(values) == 1:
        return mean
    # No further than the mean is written: what equal values differ by is rounding.
    deviation = values.std(ddof=1)
    return f"{mean} ± {round(deviation, min(_places(values.mean(), 4), _places(deviation, 2))):.2g}"


def _places(value: float, digits: int) -> int:
    """Behind the point, for so many significant digits."""
    return digits - 1 - math.floor(math.log10(abs(value))) if value else digits


def _how(record: Record) -> str:
    device = record["device"]
    hardware = f"{device['count']} x {device['kind']}" + (
        f", {device['cores']} cores" if device["platform"] == "cpu" else ""
    )
    parts = [part for run in record["runs"] for part in run["trained"]]
    revisions = dict.fromkeys(_revision(part["git"]) for part in parts)
    jax = dict.fromkeys(part["versions"]["jax"] for part in parts)
    lasted = [run["trained"][-1]["seconds"] for run in record["runs"]]
    times = [f"{name} {_seconds([one[name] for one in lasted])}" for name in lasted[0]]
    measured = _seconds([run["evaluate_seconds"] for run in record["runs"]])
    protocol = next(iter(record["runs"][0]["results"].values()))["protocol"]
    drawn = "; ".join(f"{name} {protocol[key]}" for key, name in OF_SAMPLES if key in protocol)
    commands = [words for run in record["runs"] for words in (run["train"], run["evaluate"])]
    return "\n".join(
        [
            f"### {record['name']}",
            "",
            f"Trained at revision {', '.join(revisions)}, measured at {_revision(record['git'])}; {hardware}; jax "
            f"{', '.join(jax)}; {record['measured'][:10]}. Seconds of a run: {', '.join(times)}; of an "
            f"evaluation: {measured}; load of the machine then: {record['load_average']:.1f}. Samples: {drawn}.",
            "",
            "```bash",
            *commands,
            record["floor"]["evaluate"],
            "```",
        ]
    )


def _revision(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return git["revision"][:10] + (" with changes that are not committed" if git["dirty"] else "")


def _seconds(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    verb = arguments[0] if arguments else ""
    if verb in ("-h", "--help"):
        print(__doc__.strip())
        return
    if verb not in VERBS:
        raise UsageError(f"There is nothing to do that is called {verb!r}: {nearest(verb, VERBS)}")
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    given, words = arguments[1:at], arguments[at + 1 :]
    settings = VERBS[verb]
    try:
        options = parse(
            settings, given, prog=f"python -m experiments.results {verb}", description=inspect.getdoc(settings)
        )
    except UsageError as error:
        hint = " Settings of the experiment come after --." if verb == "measure" else ""
        raise UsageError(f"{error}{hint}") from error
    if isinstance(options, Measure):
        check_measure(options, words)
        write_json(RECORDS / f"{options.record}.json", measure(options, words))
        print(RECORDS / f"{options.record}.json")
    write_text(TABLE, render(read()))
    print(TABLE)


if __name__ == "__main__":
    sys.exit(run_module(main))
