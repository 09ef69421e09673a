"""Exports: the networks of a run, in one file that NumPy reads without this library."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gdl_jax.errors import UsageError
from gdl_jax.files import write_atomically
from gdl_jax.steps.state import NetworkState, TrainState
from gdl_jax.training.checkpoint import leaf_paths


def export(path: Path, state: TrainState, config: dict[str, Any]) -> int:
    """Writes every network's variables, averaged where there is an average, and the run's config.json.

    The keys are paths, such as "generator/params/Dense_0/kernel"; "config" holds the JSON as a string, with the
    `digest` of the variables. NumPy reads no bfloat16 and the like: such an array is there as unsigned integers of the
    same bits, and its dtype in the config under "dtypes", by its key.

    Returns:
        The number of arrays.
    """
    networks = variables(state)
    arrays = {name: np.asarray(leaf) for name, leaf in leaf_paths(networks).items()}
    foreign = {name: str(array.dtype) for name, array in arrays.items() if array.dtype.kind == "V"}
    arrays |= {name: arrays[name].view(f"uint{8 * arrays[name].itemsize}") for name in foreign}
    text = json.dumps(config | {"digest": digest(networks)} | ({"dtypes": foreign} if foreign else {}))
    write_atomically(path, lambda file: np.savez(file, config=np.array(text), **arrays))
    return len(arrays)


def is_export(path: Path) -> bool:
    """Whether a file is an export, and not an .npz of something else."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return "config" in file.files
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return False


def load_export(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of each network, as `network.apply` takes them, and the config of the run.

    Raises:
        UsageError: the file is no export, or it is damaged.
    """
    networks: dict[str, Any] = {}
    try:
        # NumPy leaves a file open that it opened itself and that is damaged.
        with path.open("rb") as opened, np.load(opened) as file:
            config = json.loads(str(file["config"]))
            for name in file.files:
                if name == "config":
                    continue
                *folders, leaf = name.split("/")
                place = networks
                for folder in folders:
                    place = place.setdefault(folder, {})
                dtype = config.get("dtypes", {}).get(name)
                place[leaf] = file[name] if dtype is None else file[name].view(jnp.dtype(dtype))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} is no export of a run ({error}); write one with the verb export.") from error
    if config.get("digest") != digest(networks):
        raise UsageError(f"{path} is damaged: its arrays are not those of its digest; write it anew.")
    return networks, config


def variables(state: TrainState) -> dict[str, Any]:
    """What `network.apply` takes of each network, averaged where there is an average."""
    return {name: network.averaged() for name, network in state.networks.items()}


def state_of(networks: dict[str, Any]) -> TrainState:
    """A state that can be looked at, and not trained on, from the variables of each network."""
    return TrainState.create(
        {
            name: NetworkState(found.get("params", {}), {k: v for k, v in found.items() if k != "params"}, (), None)
            for name, found in networks.items()
        }
    )


def digest(networks: PyTree) -> str:
    """SHA-256 of names, dtypes, shapes and values of the arrays, in hexadecimal digits."""
    found = hashlib.sha256()
    for name, leaf in sorted(leaf_paths(networks).items()):
        array = np.asarray(leaf)
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
