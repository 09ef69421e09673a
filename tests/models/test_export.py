"""What an export holds is what sampling needs, and nothing of this library is needed to read it."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.steps.state import NetworkState, TrainState
from gdl_jax.training.export import digest, export, load_export, state_of, variables


@pytest.fixture
def state():
    leaves = iter(jax.random.split(jax.random.key(0), 9))

    def tree(*shapes):
        return {"Dense_0": {"kernel": jax.random.normal(next(leaves), shapes[0]), "bias": jnp.ones(shapes[1])}}

    generator = NetworkState(
        tree((3, 4), 4),
        {"batch_stats": {"BatchNorm_0": {"mean": jnp.arange(4.0), "count": jnp.int32(5)}}},
        ({"mu": jnp.ones(2)},),
        tree((3, 4), 4),
    )
    return TrainState.create({"generator": generator, "critic": NetworkState(tree((4, 1), 1), {}, (), None)})


def test_there_and_back(state, tmp_path):
    config = {"experiment": "dcgan", "settings": {"width": 4, "name": "Fréchet"}}
    assert export(tmp_path / "model.npz", state, config) == 6
    networks, restored = load_export(tmp_path / "model.npz")
    assert restored == config | {"digest": digest(variables(state))}
    assert set(networks) == {"generator", "critic"}
    for name, network in state.networks.items():
        wanted = network.averaged()
        wanted = wanted if network.collections else {"params": network.params}
        assert jax.tree.structure(networks[name]) == jax.tree.structure(wanted)
        jax.tree.map(np.testing.assert_array_equal, networks[name], wanted)
        assert jax.tree.map(lambda x: x.dtype, networks[name]) == jax.tree.map(lambda x: x.dtype, wanted)


def test_what_numpy_has_no_name_for_comes_back_as_it_was(state, tmp_path):
    critic = state.networks["critic"]
    critic = critic.replace(params=jax.tree.map(lambda x: x.astype(jnp.bfloat16), critic.params))
    export(tmp_path / "model.npz", TrainState.create({"critic": critic}), {})
    found = load_export(tmp_path / "model.npz")[0]["critic"]["params"]["Dense_0"]["kernel"]
    wanted = critic.params["Dense_0"]["kernel"]
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, wanted)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert file["critic/params/Dense_0/kernel"].dtype == np.uint16


def test_the_average_is_exported_where_there_is_one(state, tmp_path):
    export(tmp_path / "model.npz", state, {})
    kernel = load_export(tmp_path / "model.npz")[0]["generator"]["params"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, state.networks["generator"].ema["Dense_0"]["kernel"])
    assert not np.array_equal(kernel, state.networks["generator"].params["Dense_0"]["kernel"])


def test_plain_numpy_reads_it(state, tmp_path):
    export(tmp_path / "model.npz", state, {"seed": 3})
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert "generator/params/Dense_0/kernel" in file.files
        assert "generator/batch_stats/BatchNorm_0/mean" in file.files
        assert not any("mu" in name or "step" in name for name in file.files)
        assert json.loads(str(file["config"]))["seed"] == 3
    # Written whole or not at all: nothing else is left in the folder.
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_a_state_to_look_at(state, tmp_path):
    export(tmp_path / "model.npz", state, {})
    loaded = state_of(load_export(tmp_path / "model.npz")[0])
    jax.tree.map(np.testing.assert_array_equal, variables(loaded), variables(state))
    assert {network.opt_state for network in loaded.networks.values()} == {()}


def test_the_digest_is_of_every_array_and_its_name(state):
    networks = jax.device_get(variables(state))
    known = digest(networks)
    assert known == digest(networks)
    assert len(known) == 64
    for name in networks:
        changed = jax.tree.map(np.copy, networks)
        changed[name]["params"]["Dense_0"]["kernel"][1, 0] += 1e-3
        assert digest(changed) != known
    assert digest({"other": networks["generator"], "critic": networks["critic"]}) != known
    assert digest(jax.tree.map(lambda x: x.reshape(-1), networks)) != known


def damaged(path):
    """Another array under the old digest."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays["critic/params/Dense_0/bias"] = arrays["critic/params/Dense_0/bias"] + 1
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (damaged, "is damaged: its arrays are not those of its digest"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "is no export of a run"),
        (lambda path: path.write_text("hello"), "is no export of a run"),
        (lambda path: np.savez(path, samples=np.zeros(3)), "is no export of a run"),
        (lambda path: path.unlink(), "is no export of a run"),
    ],
)
def test_what_is_no_export_is_refused(state, tmp_path, spoil, sentence):
    path = tmp_path / "model.npz"
    export(path, state, {})
    spoil(path)
    with pytest.raises(UsageError) as caught:
        load_export(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_every_flipped_byte_of_an_array_is_noticed(state, tmp_path):
    path = tmp_path / "model.npz"
    export(path, state, {})
    whole = bytearray(path.read_bytes())
    value = np.asarray(state.networks["critic"].params["Dense_0"]["kernel"]).tobytes()
    whole[bytes(whole).index(value) + 3] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(UsageError):
        load_export(path)
