"""Statistics of batch normalisation for parameters that no step has normalised with, such as averaged ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array


def recalibrated(
    network: nn.Module, variables: Mapping[str, Any], inputs: Sequence[tuple[Array, ...]]
) -> dict[str, Any]:
    """The same variables with the mean of the statistics of some batches for the running ones.

    Brock et al. 2019 (arXiv:1809.11096), appendix B, call them standing statistics. Dropout drops the same units
    whenever it is called.

    Args:
        network: (*inputs, train) -> anything; its norms are to write new = m old + (1 - m) batch.
        variables: "params", and "batch_stats" or not.
        inputs: one tuple per batch.
    """
    if "batch_stats" not in variables:
        return dict(variables)
    statistics = variables["batch_stats"]

    def after(start: float, batch: tuple[Array, ...], number: int) -> Any:
        filled = {**variables, "batch_stats": jax.tree.map(lambda x: jnp.full_like(x, start), statistics)}
        rngs = {"dropout": jax.random.key(number)}
        return network.apply(filled, *batch, train=True, mutable=["batch_stats"], rngs=rngs)[1]

    # Whatever is to be learnt of m is in the difference that the start makes.
    few = tuple(x[:2] for x in inputs[0])
    new_weight = jax.tree.map(lambda ones, zeros: 1 - (ones - zeros), after(1.0, few, 0), after(0.0, few, 0))
    totals = jax.tree.map(lambda *parts: sum(parts) / len(parts), *(after(0.0, x, i) for i, x in enumerate(inputs)))
    return {**variables, **jax.tree.map(jnp.divide, totals, new_weight)}
