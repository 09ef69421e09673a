"""A run's folder: its config.json, and whether it may be continued."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from experiments.command_line import parse_experiment, to_arguments
from experiments.registry import Experiment, find
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.files import write_json
from gdl_jax.training.settings import MAY_CHANGE

CONFIG = "config.json"
CONTENTS = ("checkpoints", "metrics.jsonl", "tensorboard", "samples", "report.html", "profile", CONFIG)
"""All that a run writes, config.json last: without it the folder would not be known for a run."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "torch")


def default(name: str) -> Path:
    """Where a run goes that is given no workdir: runs/dcgan; of `package.module:attribute` the attribute."""
    return Path("runs") / name.rpartition(":")[2]


def config_dict(experiment: Experiment) -> dict[str, Any]:
    """The settings as JSON."""
    return json.loads(json.dumps(dataclasses.asdict(experiment), default=str))


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"data": {"name": "mnist"}} -> {"data.name": "mnist"}."""
    flat = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def command(arguments: list[str]) -> str:
    """What to type to run this again."""
    return shlex.join(["python", "-m", "experiments.run", *arguments])


def check(workdir: Path, name: str, experiment: Experiment, *, restart: bool) -> None:
    """Whether a run may go into the folder: to continue the one there, or with `restart` to take its place.

    Raises:
        UsageError: it holds something else, a run of another experiment, or one with other settings to continue.
    """
    if not (workdir / CONFIG).exists():
        if workdir.exists() and (not workdir.is_dir() or any(not _is_partial(path) for path in workdir.iterdir())):
            raise UsageError(f"{workdir} exists and holds no run; choose another --workdir, or empty it.")
        return
    saved = read(workdir)
    if saved["name"] != name:
        raise UsageError(f"{workdir} holds a run of {saved['name']!r}, not of {name!r}; choose another --workdir.")
    before, now = flatten(saved["config"]), flatten(config_dict(experiment))
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key) and key not in MAY_CHANGE]
    if changed and not restart:
        listed = ", ".join(f"{key} was {before.get(key)} and is {now.get(key)}" for key in changed)
        raise UsageError(
            f"The run in {workdir} has other settings ({listed}); give them as they were to continue it, "
            "choose another --workdir, or delete it and start anew with --restart."
        )


def _is_partial(path: Path) -> bool:
    """Whether a file was being written when the process was killed."""
    return path.name.startswith(".") and path.suffix == ".partial"


def delete(workdir: Path) -> None:
    """Removes a run, and nothing else that may lie in its folder."""
    if not (workdir / CONFIG).exists():
        return
    for name in CONTENTS:
        path = workdir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write(
    workdir: Path, name: str, experiment: Experiment, data: DataSpec, arguments: list[str], parameters: dict[str, int]
) -> None:
    """Writes config.json, on which everything that reads a run relies; it is also the trial whether the disk takes it.

    Raises:
        UsageError: the folder cannot be written.
    """
    path = workdir / CONFIG
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text()) if path.exists() else {"started": now, "resumed": []}
        write_json(
            path,
            {
                "name": name,
                "summary": type(experiment).summary(),
                "paper": experiment.paper,
                "command": command(arguments),
                "started": before["started"],
                "resumed": [*before["resumed"], now] if path.exists() else [],
                "config": config_dict(experiment),
                "data": data.to_json(),
                "parameters": parameters,
                "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}, {jax.process_count()} process(es)",
                "versions": versions(),
                "git": git_state(),
            },
        )
    except OSError as error:
        raise UsageError(
            f"{workdir} cannot be written ({error.strerror or error}); choose another --workdir or make room."
        ) from error


def read(workdir: Path) -> dict[str, Any]:
    """The config.json of a run.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    if not workdir.is_dir():
        raise UsageError(f"There is no folder {workdir}; give the workdir of a run, such as runs/dcgan.")
    try:
        saved = json.loads((workdir / CONFIG).read_text())
    except FileNotFoundError as error:
        raise UsageError(f"{workdir} holds no run: it has no {CONFIG}.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{workdir / CONFIG} is damaged ({error}); restore it from a copy.") from error
    if not (isinstance(saved, dict) and {"name", "config", "data"} <= saved.keys()):
        raise UsageError(f"{workdir} holds no run: its {CONFIG} is of something else.")
    return saved


def load_experiment(saved: dict[str, Any]) -> Experiment:
    """The experiment with the settings of a config.json."""
    return parse_experiment(saved["name"], find(saved["name"]), to_arguments(saved["config"]))


def versions() -> dict[str, str]:
    """What runs this, by name."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """The revision of the checkout, and whether it has changes that are not committed."""

    def ask(*words: str) -> str:
        root = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"revision": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
