"""The JSON record of a run: on what it was measured, beside what was measured."""

from __future__ import annotations

import datetime
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.hardware import device
from experiments.workdir import git_state, versions
from gdl_jax.errors import UsageError

FORMAT = 1


def surroundings(command: Sequence[str], program: str) -> dict[str, Any]:
    """All of the record but its `records`.

    Args:
        command: the words after `python -m PROGRAM`.
        program: the module that measures.
    """
    git = git_state() or {"revision": None, "dirty": None}
    return {
        "format": FORMAT,
        "program": program,
        "command": shlex.join(["python", "-m", program, *command]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": git["revision"],
        "uncommitted_changes": git["dirty"],
        "versions": versions(),
        "device": device(),
        "environment": {
            name: os.environ.get(name) for name in ("XLA_FLAGS", "JAX_PLATFORMS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        },
        "load_average": os.getloadavg()[0],
        "records": [],
    }


def read(path: Path, program: str) -> dict[str, Any]:
    """A record that the program wrote before.

    Raises:
        UsageError: there is none, or it is something else.
    """
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); give a file that `{program} --json` wrote.") from error
    known = isinstance(found, dict) and found.get("format") == FORMAT
    if not known or "program" not in found or not isinstance(found.get("records"), list):
        raise UsageError(f"{path} is no record of format {FORMAT}; give a file that `{program} --json` wrote.")
    if found["program"] != program:
        raise UsageError(f"{path} is a record of {found['program']}; give a file that `{program} --json` wrote.")
    return found
