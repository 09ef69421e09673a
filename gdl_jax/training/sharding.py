"""One mesh, one axis: the state is replicated, batches are split along "data".

A step is written for the global batch, so batch normalisation's statistics and minibatch groups are over the global
batch, and the numbers do not depend on the number of devices.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from gdl_jax.errors import UsageError
from gdl_jax.steps.devices import AXIS


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices of all processes, or over those given.

    The axis is Auto: jax's default, Explicit, refuses to gather from and to concatenate differently sharded arrays.
    """
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds everything."""
    return NamedSharding(mesh, P())


def split_along(mesh: Mesh, axis: int) -> NamedSharding:
    """The given axis of every array is split over the devices."""
    return NamedSharding(mesh, P(*[None] * axis, AXIS))


def check_divisible(batch_size: int, mesh: Mesh) -> None:
    """A batch has to split evenly over the devices."""
    if batch_size % mesh.size:
        down, up = batch_size // mesh.size * mesh.size, -(-batch_size // mesh.size) * mesh.size
        near = f"{down} or {up}" if down else f"{up}"
        raise UsageError(
            f"A batch of {batch_size} cannot be split evenly over {mesh.size} devices; set --batch-size to {near}."
        )


def put(tree: PyTree[np.ndarray], sharding: NamedSharding) -> PyTree[jax.Array]:
    """Places host arrays as global ones; of an axis that is split, each process holds its own rows only."""
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def local_rows(batch_size: int, mesh: Mesh) -> slice:
    """The rows of a batch that this process feeds."""
    slices = split_along(mesh, 0).addressable_devices_indices_map((batch_size,)).values()
    bounds = [rows.indices(batch_size) for (rows,) in slices]
    return slice(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """How the processes of a run find each other."""

    distributed: bool = False
    """Several processes train together; SLURM, Kubernetes, Open MPI and TPU pods are recognised by themselves."""
    coordinator: str | None = None
    """Address of process 0, such as 10.0.0.1:1234 (only where the cluster is not recognised)."""
    num_processes: int | None = None
    """Number of processes (with --coordinator)."""
    process_id: int | None = None
    """Number of this process, from 0 (with --coordinator)."""


def connect(hosts: Hosts) -> None:
    """Joins the other processes; to be called before any jax computation."""
    explicit = (hosts.coordinator, hosts.num_processes, hosts.process_id)
    if not hosts.distributed:
        if any(value is not None for value in explicit):
            raise UsageError("--coordinator, --num-processes and --process-id take effect with --distributed; add it.")
        return
    if any(value is not None for value in explicit) and any(value is None for value in explicit):
        raise UsageError("--coordinator, --num-processes and --process-id go together; give all three or none of them.")
    if hosts.process_id is not None and not 0 <= hosts.process_id < hosts.num_processes:
        raise UsageError(
            f"--process-id {hosts.process_id} is not among the {hosts.num_processes} of --num-processes; "
            "processes count from 0."
        )
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    arguments: dict[str, Any] = {}
    if hosts.coordinator is not None:
        arguments = {
            "coordinator_address": hosts.coordinator,
            "num_processes": hosts.num_processes,
            "process_id": hosts.process_id,
        }
    try:
        jax.distributed.initialize(**arguments)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"The processes could not be connected ({error}); where no cluster is recognised give --coordinator "
            "ADDRESS:PORT, --num-processes N and --process-id I."
        ) from error


def greatest(value: int) -> int:
    """The greatest of the values of all processes. Every process has to call it."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.asarray(value)).max())


def any_process(flag: bool) -> bool:
    """Whether the flag is set on any process. Every process has to call it."""
    return bool(greatest(int(flag)))


def barrier(name: str) -> None:
    """Waits until every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
