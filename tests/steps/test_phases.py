"""One step of phases, with losses whose gradients are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.steps.phases import Outcome, Phase, batches_per_step, run_phases
from gdl_jax.steps.state import NetworkState, TrainState

KEY = jax.random.key(0)


def network(params, optimizer=None, collections: Mapping = {}) -> NetworkState:
    params = jax.tree.map(jnp.float32, params)
    return NetworkState(params, dict(collections), () if optimizer is None else optimizer.init(params), None)


def scalars(values: Mapping[str, float], optimizer) -> TrainState:
    return TrainState.create({name: network(value, optimizer) for name, value in values.items()})


def batches(*values: float) -> dict[str, jax.Array]:
    return {"x": jnp.array(values, jnp.float32)[:, None]}


def value(state: TrainState, name: str) -> float:
    return float(state.networks[name].params)


def assert_same(a, b) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


# Order, repeats, keys


@pytest.mark.parametrize(("order", "wanted"), [("ab", -2.0), ("ba", 1.0)])
def test_a_phase_sees_what_the_ones_before_it_did(order, wanted):
    """The gradient of b's loss is the value of a: 1 at first, 1 - 3 after a's update."""
    sgd = optax.sgd(1.0)
    phases = {
        "a": Phase(name="a", trains=("a",), loss=lambda p, s, b, k: (3 * p["a"], Outcome())),
        "b": Phase(name="b", trains=("b",), loss=lambda p, s, b, k: (p["b"] * s.networks["a"].params, Outcome())),
    }
    state, metrics = run_phases(
        [phases[name] for name in order], {"a": sgd, "b": sgd}, scalars({"a": 1, "b": 0}, sgd), batches(0), KEY
    )
    assert value(state, "a") == -2
    assert value(state, "b") == -wanted
    assert int(state.step) == 1
    assert metrics.means["a/loss"].value() == 3
    with pytest.raises(ValueError, match="differ in their names, and these are a, b, a"):
        run_phases([phases[name] for name in "aba"], {"a": sgd, "b": sgd}, state, batches(0), KEY)


def recorder(name: str, repeats: int, seen: list) -> Phase:
    def loss(params, state, batch, key):
        seen.append((name, float(batch["x"][0]), int(state.step), jax.random.key_data(key).tolist()))
        return params[name] * batch["x"][0], Outcome()

    return Phase(name=name, trains=(name,), loss=loss, repeats=repeats)


def test_repeats_take_the_last_batches_in_order_with_keys_of_their_own():
    sgd, seen = optax.sgd(1.0), []
    phases = [recorder("one", 1, seen), recorder("three", 3, seen), recorder("two", 2, seen)]
    assert batches_per_step(phases) == 3
    state = scalars({"one": 0, "two": 0, "three": 0}, sgd)
    optimizers = dict.fromkeys(state.networks, sgd)
    state, metrics = run_phases(phases, optimizers, state, batches(1, 2, 4), KEY)
    # `jax.grad` leaves batch and key concrete, so that the losses can write them down.
    wanted = [("one", 4), ("three", 1), ("three", 2), ("three", 4), ("two", 2), ("two", 4)]
    assert [(name, x) for name, x, _, _ in seen] == wanted
    assert {step for _, _, step, _ in seen} == {0}
    assert len({tuple(key) for _, _, _, key in seen}) == 6
    assert [value(state, name) for name in ("one", "two", "three")] == [-4, -6, -7]
    assert metrics.means["three/gradient_norm"].value() == pytest.approx(7 / 3)
    assert metrics.means["three/gradient_norm"].count == 3
    assert int(state.step) == 1


def test_repeats_are_updates_one_after_the_other():
    """Each of w <- w - (w - x) / 2 depends on the one before it."""
    sgd = optax.sgd(0.5)
    phase = Phase(
        name="w", trains=("w",), loss=lambda p, s, b, k: (0.5 * (p["w"] - b["x"][0]) ** 2, Outcome()), repeats=3
    )
    state, metrics = run_phases([phase], {"w": sgd}, scalars({"w": 8}, sgd), batches(0, 4, -2), KEY)
    assert value(state, "w") == 1.0  # 8 -> 4 -> 4 -> 1
    assert metrics.means["w/loss"].value() == pytest.approx((32 + 0 + 18) / 3)


# Intervals


def test_a_lazy_phase_runs_in_every_kth_step_on_k_times_its_loss():
    sgd = optax.sgd(1.0)
    phases = [
        Phase(name="main", trains=("w",), loss=lambda p, s, b, k: (100 * p["w"], Outcome())),
        Phase(
            name="lazy",
            trains=("w",),
            interval=4,
            loss=lambda p, s, b, k: (p["w"] * b["x"][0], Outcome({}, {"x": b["x"][0]})),
        ),
    ]
    step = jax.jit(lambda state, batch: run_phases(phases, {"w": sgd}, state, batch, KEY))
    state, merged, values = scalars({"w": 0}, sgd), None, [0.0]
    for i in range(9):
        state, metrics = step(state, batches(i + 1))
        values.append(value(state, "w"))
        merged = metrics if merged is None else merged.merge(metrics)
    lazy = {0: 1, 4: 5, 8: 9}  # step: x
    assert np.diff(values).tolist() == [-100 - 4 * lazy.get(i, 0) for i in range(9)]
    # What a step without the phase reports counts for nothing, and the loss is reported as it is, without the factor.
    assert float(merged.means["lazy/x"].count) == 3
    assert merged.means["lazy/x"].value() == 5
    assert merged.means["lazy/loss"].value() == pytest.approx(
        np.mean([-100 * 1, values[4] * 5 - 500, values[8] * 9 - 900])
    )
    assert merged.means["lazy/gradient_norm"].value() == pytest.approx(4 * 5)
    assert float(merged.means["main/loss"].count) == 9
    assert int(merged.faults["lazy"].count) == 0


def test_a_phase_that_is_not_due_leaves_all_as_it_is_and_its_loss_is_not_multiplied():
    sgd = optax.sgd(1.0)
    phase = Phase(
        name="w", trains=("w",), loss=lambda p, s, b, k: (p["w"] * b["x"][0], Outcome()), repeats=2, interval=2,
        due=lambda step: step > 1,
    )  # fmt: skip
    step = jax.jit(lambda state, batch: run_phases([phase], {"w": sgd}, state, batch, KEY))
    state, values = scalars({"w": 0}, sgd), [0.0]
    for i in range(5):
        state, metrics = step(state, batches(i, 10 * i))
        values.append(value(state, "w"))
        assert float(metrics.means["w/loss"].count) == (2 if i in (2, 4) else 0)
    assert np.diff(values).tolist() == [0, 0, -2 * 22, 0, -2 * 44]
    state, _ = run_phases(
        [replace(phase, interval=1)], {"w": sgd}, scalars({"w": 0}, sgd).replace(step=jnp.int32(2)), batches(1, 2), KEY
    )
    assert value(state, "w") == -3


def test_a_fault_in_a_lazy_phase_is_told_with_its_step():
    sgd = optax.sgd(1.0)
    phase = Phase(name="lazy", trains=("w",), loss=lambda p, s, b, k: (p["w"] * b["x"][0], Outcome()), interval=3)
    step = jax.jit(lambda state, batch: run_phases([phase], {"w": sgd}, state, batch, KEY))
    state, merged = scalars({"w": 0}, sgd), None
    for i in range(8):
        state, metrics = step(state, batches(1.0 if i == 0 else np.nan))
        merged = metrics if merged is None else merged.merge(metrics)
    fault = merged.faults["lazy"]
    assert (int(fault.count), int(fault.step), bool(fault.loss), int(fault.leaf)) == (2, 3, True, 0)
    assert value(state, "w") == -3


# The update


def test_the_update_is_optaxs():
    """Three joint updates of two networks of several leaves, one of them with another optimiser."""
    optimizers = {"f": optax.adam(1e-2, 0.5), "g": optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.3, 0.9))}
    rng = np.random.default_rng(0)
    params = {
        "f": {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)},
        "g": {"w": rng.normal(size=(4, 2)), "b": rng.normal(size=2)},
    }
    params = jax.tree.map(jnp.float32, params)
    xs = jnp.float32(rng.normal(size=(3, 5, 3)))

    def apply(p, x):
        return jnp.tanh(x @ p["f"]["w"] + p["f"]["b"][None]) @ p["g"]["w"] + p["g"]["b"][None]

    def loss(p, x):
        return jnp.square(apply(p, x) - 1).mean()

    @jax.jit
    @jax.numpy_dtype_promotion("standard")  # optax raises floats to int32 powers
    def by_hand(params):
        states = {name: optimizer.init(params[name]) for name, optimizer in optimizers.items()}
        for x in xs:
            gradients = jax.grad(loss)(params, x)
            for name, optimizer in optimizers.items():
                update, states[name] = optimizer.update(gradients[name], states[name], params[name])
                params = params | {name: optax.apply_updates(params[name], update)}
        return params, states, optax.tree.norm(gradients)

    phase = Phase(name="both", trains=("g", "f"), loss=lambda p, s, b, k: (loss(p, b["x"]), Outcome()))
    step = jax.jit(lambda state, batch: run_phases([phase], optimizers, state, batch, KEY))
    state = TrainState.create({name: network(params[name], optimizers[name]) for name in params})
    for x in xs:
        state, metrics = step(state, {"x": x[None]})
    wanted, states, norm = by_hand(params)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(close, {name: n.params for name, n in state.networks.items()}, wanted)
    jax.tree.map(close, {name: n.opt_state for name, n in state.networks.items()}, states)
    assert metrics.means["both/gradient_norm"].value() == pytest.approx(float(norm), rel=1e-5)


def test_networks_that_no_phase_trains_stay():
    sgd = optax.sgd(1.0)
    state = scalars({"a": 1, "b": 2}, sgd)
    phase = Phase(name="a", trains=("a",), loss=lambda p, s, b, k: (p["a"] * s.networks["b"].params, Outcome()))
    new, _ = run_phases([phase], {"a": sgd}, state, batches(0), KEY)
    assert_same(new.networks["b"], state.networks["b"])
    assert value(new, "a") == -1


# Collections


def counting(name: str, writes: Mapping[str, tuple[str, ...]]) -> Phase:
    """Adds one to the collections that it declares."""

    def loss(params, state, batch, key):
        found = {
            net: {c: jax.tree.map(lambda x: x + 1, state.networks[net].collections[c]) for c in collections}
            for net, collections in writes.items()
        }
        return params[name].sum() * 0, Outcome(found)

    return Phase(name=f"{name} {sorted(writes)}", trains=(name,), loss=loss)


def test_only_declared_collections_are_written_and_the_next_phase_sees_them():
    sgd = optax.sgd(1.0)
    collections = {"stats": {"m": jnp.zeros(2)}, "spectral": {"u": jnp.zeros(3)}}
    state = TrainState.create({name: network(np.ones(2), sgd, collections) for name in "ab"})
    phases = [counting("a", {"b": ("stats",)}), counting("b", {"b": ("stats",), "a": ("spectral",)})]
    new, _ = run_phases(phases, {"a": sgd, "b": sgd}, state, batches(0), KEY)
    found = {name: jax.tree.map(lambda x: float(x[0]), n.collections) for name, n in new.networks.items()}
    assert found == {
        "a": {"stats": {"m": 0.0}, "spectral": {"u": 1.0}},
        "b": {"stats": {"m": 2.0}, "spectral": {"u": 0.0}},
    }


# What is not finite

ADAM = optax.adam(0.1)
LEAVES = ("f a", "f b", "g a", "g b")


def poisoned(loss: float = 0.0, leaf: int | None = None, gradient: float = np.nan) -> Phase:
    """A phase whose loss has a constant added to it, and one gradient leaf replaced."""

    @jax.custom_vjp
    def poison(x):
        return x

    poison.defvjp(lambda x: (x, None), lambda _, g: (jnp.full_like(g, gradient),))

    def loss_of(params, state, batch, key):
        total = jnp.float32(loss)
        for number, path in enumerate(LEAVES):
            x = params[path[0]][path[2]]
            total += jnp.sum(poison(x) if number == leaf else x)
        metrics = {"total": total}
        return total, Outcome({"f": {"stats": {"m": state.networks["f"].collections["stats"]["m"] + 1}}}, metrics)

    return Phase(name="bad", trains=("g", "f"), loss=loss_of)


@pytest.mark.parametrize(
    ("phase", "loss", "leaf"),
    [
        (poisoned(loss=np.nan), True, -1),
        (poisoned(loss=np.inf), True, -1),
        (poisoned(leaf=0), False, 0),
        (poisoned(leaf=2, gradient=-np.inf), False, 2),
        (poisoned(leaf=3), False, 3),
        (poisoned(loss=-np.inf, leaf=1), True, 1),
    ],
)
def test_an_update_that_is_not_finite_is_not_made_but_counted(phase, loss, leaf):
    params, collections = {"a": np.ones(3), "b": np.ones((2, 2))}, {"stats": {"m": jnp.zeros(2)}}
    networks = {"f": network(params, ADAM, collections), "g": network(params, ADAM, collections)}
    state = TrainState.create(networks | {"h": network(1.0, ADAM)}).replace(step=jnp.int32(7))
    later = Phase(name="later", trains=("h",), loss=lambda p, s, b, k: (p["h"] * 2, Outcome()))
    new, metrics = jax.jit(lambda s: run_phases([phase, later], dict.fromkeys("fgh", ADAM), s, batches(0), KEY))(state)
    for name in "fg":
        assert_same(new.networks[name], state.networks[name])
    fault = metrics.faults["bad"]
    assert (int(fault.count), int(fault.step), bool(fault.loss), int(fault.leaf)) == (1, 7, loss, leaf)
    for name in ("bad/loss", "bad/gradient_norm", "bad/total"):
        assert float(metrics.means[name].count) == 0
        assert float(metrics.means[name].total) == 0
    # The phase after it ran all the same, and the step was counted.
    assert value(new, "h") == pytest.approx(0.9)
    assert metrics.means["later/loss"].value() == 2
    assert int(metrics.faults["later"].count) == 0
    assert int(new.step) == 8


def test_a_finite_update_is_no_fault():
    state = TrainState.create(
        {n: network({"a": np.ones(3), "b": np.ones(2)}, ADAM, {"stats": {"m": jnp.zeros(2)}}) for n in "fg"}
    )
    new, metrics = run_phases([poisoned()], dict.fromkeys("fg", ADAM), state, batches(0), KEY)
    fault = metrics.faults["bad"]
    assert (int(fault.count), bool(fault.loss), int(fault.leaf)) == (0, False, -1)
    assert float(new.networks["f"].collections["stats"]["m"][0]) == 1


def test_of_repeats_the_finite_ones_are_made():
    sgd = optax.sgd(1.0)
    phase = Phase(name="w", trains=("w",), loss=lambda p, s, b, k: (p["w"] * b["x"][0], Outcome()), repeats=4)
    state, metrics = run_phases([phase], {"w": sgd}, scalars({"w": 0}, sgd), batches(1, np.nan, np.inf, 2), KEY)
    assert value(state, "w") == -3
    assert int(metrics.faults["w"].count) == 2
    assert metrics.means["w/gradient_norm"].value() == pytest.approx(1.5)
