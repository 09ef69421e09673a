"""Exponential moving averages of parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from gdl_jax.steps.state import TrainState

WARM_UP = 9
"""After n steps the decay is n / (n + 9) at the most, so that the average soon forgets the initial parameters."""


def update_ema(state: TrainState, decay: float | Array) -> TrainState:
    """Ema <- d * ema + (1 - d) * params with d of `warmed_up`, for every network that keeps an average.

    Called at the end of a step, when `state.step` counts it.
    """
    decay = warmed_up(decay, state.step)
    networks = {
        name: network
        if network.ema is None
        else network.replace(
            ema=jax.tree.map(lambda e, p: (decay * e + (1 - decay) * p).astype(e.dtype), network.ema, network.params)
        )
        for name, network in state.networks.items()
    }
    return state.replace(networks=networks)


def warmed_up(decay: float | Array, step: Int[Array, ""]) -> Float[Array, ""]:
    """The smaller of decay and step / (step + 9).

    A decay of 0.995 alone leaves 47 % of the initial parameters in the average of 150 steps, whose images are noise.
    TensorFlow's `ExponentialMovingAverage` warms up alike.
    """
    return jnp.minimum(decay, step / (step + WARM_UP))
