"""Strict settings for every test, and eight CPU devices in one process."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from gdl_jax import runtime

# Compiling is most of what the tests do, and a third faster without the newer emitters, which make faster programs.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_cpu_use_fusion_emitters=false"
# What the user sets comes last and so counts.
os.environ["XLA_FLAGS"] = f"{FLAGS} {os.environ.get('XLA_FLAGS', '')}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The programs that the tests compile are no use to anybody later, and the user's cache is none of theirs.
os.environ["GDL_JAX_CACHE"] = tempfile.mkdtemp(prefix="gdl_jax_cache_")
atexit.register(shutil.rmtree, os.environ["GDL_JAX_CACHE"], ignore_errors=True)
runtime.set_defaults()

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

LONGEST = (
    "training/test_devices.py",
    "models/test_gan_representatives.py",
    "experiments/test_grid.py",
    "experiments/test_studies.py",
    "test_readme.py",
    "training/test_processes.py",
    "models/test_learning.py",
    "models/test_gan_grid.py",
    "training/test_kill.py",
    "experiments/test_autoencoders.py",
    "benchmarks/test_parity.py",
    "training/test_signals.py",
    "training/test_disk.py",
    "models/test_annotations.py",
    "layers/test_convolution.py",
)


def pytest_collection_modifyitems(items):
    """The files that take longest first, since a worker takes whole files: in the end none is left alone with one."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
