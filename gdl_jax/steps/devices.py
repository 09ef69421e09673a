"""What a step has to say about devices."""

from __future__ import annotations

import jax
from jax import Array
from jax.sharding import PartitionSpec as P
from jaxtyping import Shaped

AXIS = "data"
"""The mesh axis along which batches are split."""


def split_batch(x: Shaped[Array, "batch ..."]) -> Shaped[Array, "batch ..."]:
    """The same array, its batch axis split over the mesh in whose context the step is traced; without one, as it is.

    To be said of every array that a step makes out of nothing, such as latent vectors: XLA splits what is computed
    from the batch by itself, and computes what is computed from a key in full on every device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return x if mesh.empty or AXIS not in mesh.axis_names else jax.lax.with_sharding_constraint(x, P(AXIS))
