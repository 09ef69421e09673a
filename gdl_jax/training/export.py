"""Exports: the arrays that sampling needs, in one file that NumPy reads without this library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.files import write_atomically
from gdl_jax.steps.state import TrainState
from gdl_jax.training.checkpoint import leaf_paths


def export(path: Path, state: TrainState, config: dict[str, Any]) -> int:
    """Writes every network's variables, averaged where there is an average, and the run's config.json.

    The keys are paths, such as "generator/params/Dense_0/kernel"; "config" holds the JSON as a string.

    Returns:
        The number of arrays.
    """
    networks = {name: network.averaged() for name, network in state.networks.items()}
    arrays = {name: np.asarray(leaf) for name, leaf in leaf_paths(networks).items()}
    write_atomically(path, lambda file: np.savez(file, config=np.array(json.dumps(config)), **arrays))
    return len(arrays)


def load_export(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of each network, as `network.apply` takes them, and the config of the run."""
    networks: dict[str, Any] = {}
    with np.load(path) as file:
        config = json.loads(str(file["config"]))
        for name in file.files:
            if name == "config":
                continue
            *folders, leaf = name.split("/")
            place = networks
            for folder in folders:
                place = place.setdefault(folder, {})
            place[leaf] = file[name]
    return networks, config
