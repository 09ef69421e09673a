import ast
import importlib
import pkgutil
from pathlib import Path

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


BELOW = {
    "layers": (),
    "steps": (),
    "losses": ("steps",),
    "networks": ("layers",),
    "models": ("losses", "networks", "steps"),
    "data": (),
    "metrics": ("data", "layers", "losses", "networks", "steps"),
    "pictures": ("data", "metrics"),
    "training": ("data", "layers", "losses", "metrics", "models", "networks", "pictures", "steps"),
}
"""What each room may import beside itself and the modules that stand in no room."""


def imported(path):
    """The names of modules in import statements, be they at the top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from gdl_jax import losses` imports a module too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_point_one_way():
    root = Path(gdl_jax.__path__[0])
    assert {path.parent.name for path in root.glob("*/__init__.py")} == set(BELOW)
    found = []
    for path in root.rglob("*.py"):
        room = path.relative_to(root).parts[0]
        for name in imported(path):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package in ("experiments", "benchmarks") or (
                package == "gdl_jax" and other in BELOW and other not in (room, *BELOW.get(room, ()))
            ):
                found.append(f"{path.relative_to(root)} imports {name}")
    upwards = Path(experiments.__path__[0]).rglob("*.py")
    found += [f"{path} imports {name}" for path in upwards for name in imported(path) if name.startswith("benchmarks")]
    assert found == []
