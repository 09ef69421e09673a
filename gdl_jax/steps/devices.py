"""One mesh, one axis: where arrays lie, and what a step has to say about it.

The state is replicated and batches are split along "data". A step is written for the global batch, so batch
normalisation's statistics and minibatch groups are over the global batch, and the numbers do not depend on the number
of devices.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree, Shaped

from gdl_jax.errors import UsageError

AXIS = "data"
"""The mesh axis along which batches are split."""


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices of all processes, or over those given, the devices of each process side by side.

    `jax.make_mesh` would order them by the topology of a TPU, and a process could not feed its rows as one slice. The
    axis is Auto: jax's default, Explicit, refuses to gather from and to concatenate differently sharded arrays.
    """
    devices = sorted(jax.devices() if devices is None else devices, key=lambda d: (d.process_index, d.id))
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def check_divisible(batch_size: int, mesh: Mesh) -> None:
    """A batch has to split evenly over the devices."""
    if batch_size % mesh.size:
        down, up = batch_size // mesh.size * mesh.size, -(-batch_size // mesh.size) * mesh.size
        near = f"{down} or {up}" if down else f"{up}"
        raise UsageError(
            f"A batch of {batch_size} cannot be split evenly over {mesh.size} devices; set --batch-size to {near}."
        )


def whole_batch(batch_size: int, mesh: Mesh) -> int:
    """The next size that the devices can share; a run may be looked at on other devices than it was trained on."""
    return -(-batch_size // mesh.size) * mesh.size


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds everything."""
    return NamedSharding(mesh, P())


def split_along(mesh: Mesh, axis: int) -> NamedSharding:
    """The given axis of every array is split over the devices."""
    return NamedSharding(mesh, P(*[None] * axis, AXIS))


def put(tree: PyTree[np.ndarray], sharding: NamedSharding) -> PyTree[jax.Array]:
    """Places host arrays as global ones; of an axis that is split, each process holds its own rows only."""
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def local_rows(batch_size: int, mesh: Mesh) -> slice:
    """The rows of a batch that this process feeds.

    Raises:
        ValueError: they are no slice, for the devices of the process do not stand side by side in the mesh.
    """
    slices = split_along(mesh, 0).addressable_devices_indices_map((batch_size,)).values()
    rows = sorted(row for (part,) in slices for row in range(batch_size)[part])
    if rows != list(range(rows[0], rows[-1] + 1)):
        raise ValueError("The devices of a process do not stand side by side in the mesh; make it with `make_mesh`.")
    return slice(rows[0], rows[-1] + 1)


def split_batch(x: Shaped[Array, "batch ..."]) -> Shaped[Array, "batch ..."]:
    """The same array, its batch axis split over the mesh in whose context the step is traced; without one, as it is.

    To be said of every array that a step makes out of nothing, such as latent vectors: XLA splits what is computed
    from the batch by itself, and computes what is computed from a key in full on every device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return x if mesh.empty or AXIS not in mesh.axis_names else jax.lax.with_sharding_constraint(x, P(AXIS))
