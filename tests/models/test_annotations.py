"""A traced step of every experiment, and two whole runs, with every annotation of the library checked at every call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from flax import struct
from jaxtyping import install_import_hook

make = struct.dataclass

def dataclass(cls, **options):
    # A state is a pytree: `jax.tree.map` puts shapes, shardings and flags in the places of its arrays.
    cls = make(cls, **options)
    cls.__no_type_check__ = True
    return cls

struct.dataclass = dataclass
hook = install_import_hook("gdl_jax", "beartype.beartype")

from gdl_jax import runtime
runtime.set_defaults()
import jax.numpy as jnp
from experiments.launch import launch
from experiments.registry import load_all
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec
from gdl_jax.latents import slerp
from gdl_jax.steps.devices import make_mesh
from gdl_jax.training.program import abstract_carry

try:
    slerp(jnp.zeros((2, 3)), jnp.zeros((3, 3)), 0.5)
except TypeError as error:
    assert "type-check" in str(error).lower(), error
else:
    raise AssertionError("nothing is checked")

mesh = make_mesh()
for name, experiment in load_all().items():
    settings = experiment.presets()["smoke"]
    data = DataSpec.of(load(settings.data, "train"))
    try:
        abstract_carry(settings.build(data), data.arrays, settings.batch_size, mesh)
    except Exception as error:
        raise AssertionError(f"{name} smoke") from error

every = [word for event in ("log", "sample", "evaluate", "checkpoint") for word in (f"--{event}-every", "1")]
for name in ("dcgan", "vae"):
    workdir = f"{sys.argv[1]}/{name}"
    assert launch([name, "--preset", "smoke", "--workdir", workdir, "--steps", "1", *every]) == 0, name
for words in (
    ["evaluate", "--metrics", "fid,kid,prdc,memorisation,ms_ssim,ppl", "--num", "100", "--path.num", "2"],
    ["neighbours", "--num", "20"],
):
    assert launch([words[0], f"{sys.argv[1]}/dcgan", *words[1:]]) == 0, words
"""


@pytest.mark.slow
def test_shapes_are_as_annotated(tmp_path):
    root = Path(__file__).parents[2]
    flags = os.environ.get("XLA_FLAGS", "").replace("--xla_force_host_platform_device_count=8", "")
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": flags}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    for name in ("dcgan", "vae"):
        assert (tmp_path / name / "report.html").exists()
