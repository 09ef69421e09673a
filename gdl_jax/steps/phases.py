"""A step is a list of phases, each one optimiser update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Bool, Float, Int, Key, PyTree

from gdl_jax.steps.constraints import Constraint
from gdl_jax.steps.meters import Fault, Mean, Metrics
from gdl_jax.steps.state import TrainState

Batch = Mapping[str, Array]


class Outcome(NamedTuple):
    """What a phase's loss returns beside the number to descend."""

    collections: Mapping[str, PyTree] = {}
    """Network -> the mutable collections that this update writes."""
    metrics: Mapping[str, Float[Array, ""]] = {}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One optimiser update: which networks it trains, on what loss, and how often."""

    name: str
    trains: tuple[str, ...]
    loss: Callable[[dict[str, PyTree], TrainState, Batch, Array], tuple[Float[Array, ""], Outcome]]
    """`loss(params, state, batch, key)`; `params` holds the trained networks only."""
    interval: int = 1
    """Run in every `interval`-th step only, with the loss multiplied by it (lazy regularisation, Karras et al. 2020,
    appendix B); the optimiser is corrected for it where it is built."""
    due: Callable[[Int[Array, ""]], Bool[Array, ""]] | None = None
    """Run only in the steps of which this is true, with the loss as it is; None for all."""
    repeats: int = 1
    """Updates per step, each on a batch of its own (critic repeats, Arjovsky et al. 2017, algorithm 1)."""
    constraint: Constraint | None = None
    """What every update ends with, on the parameters of each trained network."""


def batches_per_step(phases: Sequence[Phase]) -> int:
    """How many batches a step of these phases consumes."""
    return max(phase.repeats for phase in phases)


def run_phases(
    phases: Sequence[Phase],
    optimizers: Mapping[str, optax.GradientTransformation],
    state: TrainState,
    batches: Batch,
    key: Key[Array, ""],
) -> tuple[TrainState, Metrics]:
    """One step: every phase in order. A phase with r repeats takes the last r of the step's batches.

    Args:
        phases: names are unique.
        optimizers: one per trained network.
        state: before the step.
        batches: leaves of shape (batches_per_step, batch, ...).
        key: of this step.

    Returns:
        The state after the step, and for every phase "NAME/loss", "NAME/gradient_norm" and what its loss reports. An
        update that is not finite is counted in the metrics and leaves the state as it was.

    Raises:
        ValueError: two phases have the same name.
    """
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f"Phases have to differ in their names, and these are {', '.join(names)}.")
    available = batches_per_step(phases)
    metrics = Metrics({}, {})
    for number, phase in enumerate(phases):
        phase_key = jax.random.fold_in(key, number)
        for repeat in range(phase.repeats):
            batch = jax.tree.map(lambda x, i=available - phase.repeats + repeat: x[i], batches)
            update_key = jax.random.fold_in(phase_key, repeat)
            state, found = _update_when_due(phase, optimizers, state, batch, update_key)
            metrics = _join(metrics, found)
    return state.replace(step=state.step + 1), metrics


def _update_when_due(phase, optimizers, state, batch, key):
    if phase.interval == 1 and phase.due is None:
        return _update(phase, optimizers, state, batch, key)
    is_due = state.step % phase.interval == 0
    if phase.due is not None:
        is_due &= phase.due(state.step)
    found = jax.eval_shape(lambda: _update(phase, optimizers, state, batch, key)[1])
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), found)
    return jax.lax.cond(
        is_due,
        lambda: _update(phase, optimizers, state, batch, key),
        lambda: (state, nothing),
    )


def _update(phase: Phase, optimizers, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    def loss_of(params):
        loss, outcome = phase.loss(params, state, batch, key)
        return phase.interval * loss, (loss, outcome)

    params = {name: state.networks[name].params for name in phase.trains}
    gradients, (loss, outcome) = jax.grad(loss_of, has_aux=True)(params)

    networks = dict(state.networks)
    for name in phase.trains:
        # Optax raises float32 decays to int32 powers, which strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizers[name].update(gradients[name], networks[name].opt_state, params[name])
        updated = optax.apply_updates(params[name], updates)
        if phase.constraint is not None:
            updated = phase.constraint(updated)
        networks[name] = networks[name].replace(params=updated, opt_state=opt_state)
    for name, collections in outcome.collections.items():
        networks[name] = networks[name].replace(collections=networks[name].collections | dict(collections))

    # Optimisers average gradients or their squares, and would keep for ever what is not finite. Where the squares are,
    # so are the averages; to look at those too would make a small step take a fifth longer to compile.
    squares = jnp.stack([jnp.square(leaf.astype(jnp.float32)).sum() for leaf in jax.tree.leaves(gradients)])
    leaves_finite = jnp.isfinite(squares)
    trained = [networks[name].params for name in phase.trains]
    finite = jnp.isfinite(loss) & leaves_finite.all() & _are_finite(trained).all()
    networks = jax.tree.map(lambda new, old: jnp.where(finite, new, old), networks, dict(state.networks))

    values = {"loss": loss, "gradient_norm": jnp.sqrt(squares.sum())} | dict(outcome.metrics)
    means = {f"{phase.name}/{name}": Mean.of(value, finite) for name, value in values.items()}
    fault = Fault(
        count=1 - finite.astype(jnp.int32),
        step=state.step,
        loss=~jnp.isfinite(loss),
        leaf=jnp.where(leaves_finite.all(), -1, jnp.argmin(leaves_finite)).astype(jnp.int32),
    )
    return state.replace(networks=networks), Metrics(means, {phase.name: fault})


def _are_finite(tree: PyTree) -> Bool[Array, " leaves"]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)])


def _join(metrics: Metrics, later: Metrics) -> Metrics:
    """Adds a phase's metrics to the step's; a repeated phase merges with itself."""
    return Metrics(_merge(metrics.means, later.means), _merge(metrics.faults, later.faults))


def _merge(before: dict, later: dict) -> dict:
    return before | {name: before[name].merge(value) if name in before else value for name, value in later.items()}
