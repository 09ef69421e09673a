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
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from experiments.command_line import parse_experiment, to_arguments
from experiments.registry import Entry, Experiment, Findings, Study, find
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.files import write_json
from gdl_jax.training.settings import MAY_CHANGE

CONFIG = "config.json"
CONTENTS = ("checkpoints", "metrics.jsonl", "tensorboard", "samples", "report.html", "profile", CONFIG)
"""All that a run writes, config.json last: without it the folder would not be known for a run."""

STUDY = "study"
"""The kind of a config.json that is of a study."""
STUDY_CONTENTS = ("figures", "summary.json", "report.html", CONFIG)
"""All that a study writes."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "torch")


def default(name: str) -> Path:
    """Where a run goes that is given no workdir: runs/dcgan; of `package.module:attribute` the attribute."""
    return Path("runs") / name.rpartition(":")[2]


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The last part of each folder's path, or all of it where two end alike."""
    ends = [folder.name for folder in folders]
    return {folder: folder.name if ends.count(folder.name) == 1 else str(folder) for folder in folders}


def config_dict(entry: Entry) -> dict[str, Any]:
    """The settings as JSON."""
    return json.loads(json.dumps(dataclasses.asdict(entry), default=str))


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
    saved = check_owner(workdir, name)
    if saved is None:
        return
    now = flatten(config_dict(experiment))
    # A run from before a setting was there has its default.
    before = flatten(config_dict(type(experiment)())) | flatten(saved["config"])
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key) and key not in MAY_CHANGE]
    if changed and not restart:
        listed = ", ".join(f"{key} was {before.get(key)} and is {now.get(key)}" for key in changed)
        raise UsageError(
            f"The run in {workdir} has other settings ({listed}); continue it with its own by "
            f"`{command(['continue', str(workdir)])}`, choose another --workdir, or delete it and start anew with "
            "--restart."
        )


def check_data(workdir: Path, data: DataSpec) -> None:
    """Whether the run in the folder, if there is one, was trained on these data.

    Raises:
        UsageError: on others, or on the same folder before it changed.
    """
    if not (workdir / CONFIG).exists():
        return
    changes = data.changes(DataSpec.from_json(_load(workdir)["data"]))
    if changes:
        raise UsageError(
            f"The run in {workdir} was trained on other data ({'; '.join(changes)}); give it those to continue it, "
            "choose another --workdir, or delete it and start anew with --restart."
        )


def check_owner(workdir: Path, name: str) -> dict[str, Any] | None:
    """The config.json of the run of this name that the folder holds; None where there is no folder, or an empty one.

    Raises:
        UsageError: it holds something else.
    """
    if not (workdir / CONFIG).exists():
        if workdir.exists() and (not workdir.is_dir() or any(not _is_partial(path) for path in workdir.iterdir())):
            raise UsageError(f"{workdir} exists and holds no run; choose another --workdir, or empty it.")
        return None
    saved = _load(workdir)
    if saved["name"] != name:
        raise UsageError(f"{workdir} holds a run of {saved['name']!r}, not of {name!r}; choose another --workdir.")
    return saved


def _is_partial(path: Path) -> bool:
    """Whether a file was being written when the process was killed."""
    return path.name.startswith(".") and path.suffix == ".partial"


def delete(workdir: Path, contents: tuple[str, ...] = CONTENTS) -> None:
    """Removes a run, and nothing else that may lie in its folder."""
    if not (workdir / CONFIG).exists():
        return
    for name in contents:
        path = workdir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def size(workdir: Path) -> int:
    """Bytes of the files of a run."""
    contents = [path for name in CONTENTS for path in (workdir / name, *(workdir / name).rglob("*"))]
    return sum(path.stat().st_size for path in contents if path.is_file())


def write(
    workdir: Path, name: str, experiment: Experiment, data: DataSpec, arguments: list[str], parameters: dict[str, int]
) -> None:
    """Writes a run's config.json, on which everything that reads it relies.

    Raises:
        UsageError: the folder cannot be written.
    """
    _write_config(workdir, name, experiment, arguments, data=data.to_json(), parameters=parameters)


def write_study(workdir: Path, name: str, study: Study, arguments: list[str], findings: Findings) -> None:
    """Writes a study's config.json, with its words and the names of its figures.

    Raises:
        UsageError: the folder cannot be written.
    """
    _write_config(workdir, name, study, arguments, kind=STUDY, text=findings.text, figures=list(findings.figures))


def _write_config(workdir: Path, name: str, entry: Experiment | Study, arguments: list[str], **more: Any) -> None:
    """It is also the trial whether the disk takes it."""
    path = workdir / CONFIG
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text()) if path.exists() else {"started": now, "resumed": []}
        write_json(
            path,
            {
                "name": name,
                "summary": type(entry).summary(),
                "paper": entry.paper,
                "command": command(arguments),
                "started": before["started"],
                "resumed": [*before["resumed"], now] if path.exists() else [],
                "config": config_dict(entry),
                **more,
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
    """The config.json of a run, which has a model.

    Raises:
        UsageError: there is none, or it is damaged, or it is of a study.
    """
    saved = _load(workdir)
    if saved.get("kind") == STUDY:
        raise UsageError(
            f"{workdir} holds the study {saved['name']!r}, which has no model; its findings are in "
            f"{workdir / 'report.html'}."
        )
    return saved


def _load(workdir: Path) -> dict[str, Any]:
    """The config.json of a run or a study."""
    if not workdir.is_dir():
        raise UsageError(f"There is no folder {workdir}; give the workdir of a run, such as runs/dcgan.")
    try:
        saved = json.loads((workdir / CONFIG).read_text())
    except FileNotFoundError as error:
        raise UsageError(f"{workdir} holds no run: it has no {CONFIG}.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{workdir / CONFIG} is damaged ({error}); restore it from a copy.") from error
    if not (isinstance(saved, dict) and ({"name", "config", "data"} <= saved.keys() or saved.get("kind") == STUDY)):
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
