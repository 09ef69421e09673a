"""Everything of a run that changes, as one pytree."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jaxtyping import Int, PyTree


@struct.dataclass
class NetworkState:
    """One network: what the optimiser changes, what the forward pass changes, and what the two carry along."""

    params: PyTree
    collections: PyTree
    """Mutable collections by name, {"batch_stats": ..., "spectral": ...}; {} if the network has none."""
    opt_state: PyTree
    """() for a network that is not trained."""
    ema: PyTree
    """Averaged parameters, never the same buffers as `params`; None where there is no average."""

    def variables(self, params: PyTree = None) -> dict[str, Any]:
        """What `network.apply` takes, with these parameters in place of its own when they are given."""
        return {"params": self.params if params is None else params} | self.collections

    def apply_in_training(self, network: nn.Module, params: PyTree, *inputs: Array, key: Array) -> tuple[Any, PyTree]:
        """The network's output in training mode, and the collections that this wrote; `key` is that of dropout."""
        return network.apply(
            self.variables(params), *inputs, train=True, mutable=list(self.collections), rngs={"dropout": key}
        )

    def averaged(self) -> dict[str, Any]:
        """What `network.apply` takes for sampling: the averaged parameters where there are any."""
        return self.variables(self.ema)


@struct.dataclass
class TrainState:
    """The state of a model: it is donated to the compiled step, saved, and restored whole."""

    step: Int[Array, ""]
    networks: dict[str, NetworkState]
    extra: PyTree = struct.field(default_factory=dict)
    """Replay buffers, schedules' positions, growth levels ...; {} if there are none."""

    @classmethod
    def create(cls, networks: dict[str, NetworkState], extra: PyTree = None) -> TrainState:
        """The state before the first step."""
        return cls(jnp.zeros((), jnp.int32), networks, {} if extra is None else extra)


def init_network(
    network: nn.Module,
    key: Array,
    *inputs: Any,
    optimizer: optax.GradientTransformation | None = None,
    averaged: bool = False,
    **options: Any,
) -> NetworkState:
    """Initialises a network on example inputs; without an optimiser it is frozen."""
    collections = dict(network.init(key, *inputs, **options))
    params = collections.pop("params", {})
    opt_state = () if optimizer is None else optimizer.init(params)
    return NetworkState(params, collections, opt_state, jax.tree.map(jnp.copy, params) if averaged else None)
