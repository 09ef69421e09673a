"""What an export holds is what sampling needs, and nothing of this library is needed to read it."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.state import NetworkState, TrainState
from gdl_jax.training.export import export, load_export


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
    assert restored == config
    assert set(networks) == {"generator", "critic"}
    for name, network in state.networks.items():
        wanted = network.averaged()
        wanted = wanted if network.collections else {"params": network.params}
        assert jax.tree.structure(networks[name]) == jax.tree.structure(wanted)
        jax.tree.map(np.testing.assert_array_equal, networks[name], wanted)
        assert jax.tree.map(lambda x: x.dtype, networks[name]) == jax.tree.map(lambda x: x.dtype, wanted)


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
        assert json.loads(str(file["config"])) == {"seed": 3}
    # Written whole or not at all: nothing else is left in the folder.
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
