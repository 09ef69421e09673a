"""How the processes of a run find each other and agree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gdl_jax.errors import UsageError


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


CALLS_PER_MEETING = 10


def meet(call: int) -> bool:
    """Whether the processes are to agree on something before this training call.

    To agree they wait for the device, which works off all calls before; so several meet before every tenth only. One
    agrees with itself at any time.
    """
    return jax.process_count() == 1 or call % CALLS_PER_MEETING == 0


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
