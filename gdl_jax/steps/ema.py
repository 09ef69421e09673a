"""Exponential moving averages of parameters."""

from __future__ import annotations

import optax
from jax import Array

from gdl_jax.steps.state import TrainState


def update_ema(state: TrainState, decay: float | Array) -> TrainState:
    """Ema <- decay * ema + (1 - decay) * params, for every network that keeps an average."""
    networks = {
        name: network
        if network.ema is None
        else network.replace(ema=optax.incremental_update(network.params, network.ema, 1 - decay))
        for name, network in state.networks.items()
    }
    return state.replace(networks=networks)
