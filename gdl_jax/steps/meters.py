"""What a step reports: weighted means that merge over steps, and the faults that it met."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Bool, Float, Int


@struct.dataclass
class Mean:
    """A mean that merges: the sum of what was seen, and how much was seen."""

    total: Float[Array, ""]
    count: Float[Array, ""]

    @classmethod
    def of(cls, value: Array, count: float | Array = 1.0) -> Mean:
        """One observation; a weight of 0 makes it none, whatever the value."""
        count = jnp.asarray(count, jnp.float32)
        return cls(jnp.where(count > 0, value.astype(jnp.float32) * count, 0.0), count)

    def value(self) -> float:
        """The mean; NaN if nothing was seen."""
        return float(self.total / self.count) if self.count else float("nan")

    def merge(self, other: Mean) -> Mean:
        """Both together."""
        return Mean(self.total + other.total, self.count + other.count)


@struct.dataclass
class Fault:
    """The updates of a phase that were not finite, and so were not applied."""

    count: Int[Array, ""]
    step: Int[Array, ""]
    """Of the first of them."""
    loss: Bool[Array, ""]
    """Whether its loss was not finite."""
    leaf: Int[Array, ""]
    """Its first gradient leaf of which a square was not finite, in `jax.tree.leaves` order; -1 if all were finite."""

    def merge(self, later: Fault) -> Fault:
        """Both together; the first fault is the one described."""
        first = jax.tree.map(lambda mine, its: jnp.where(self.count > 0, mine, its), self, later)
        return first.replace(count=self.count + later.count)


@struct.dataclass
class Metrics:
    """All that one or more steps report."""

    means: dict[str, Mean]
    faults: dict[str, Fault] = struct.field(default_factory=dict)

    def merge(self, later: Metrics) -> Metrics:
        """Both together; the two have the same keys."""
        return Metrics(
            {name: mean.merge(later.means[name]) for name, mean in self.means.items()},
            {name: fault.merge(later.faults[name]) for name, fault in self.faults.items()},
        )
