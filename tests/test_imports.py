import importlib
import pkgutil

import pytest

import experiments
import gdl_jax

MODULES = [
    module.name
    for package in (gdl_jax, experiments)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_imports(name):
    importlib.import_module(name)


def test_the_walk_finds_all_of_them():
    assert {"gdl_jax.training.loop", "gdl_jax.layers.convolution", "experiments.run"} <= set(MODULES)
