"""Strict settings for every test, and eight CPU devices in one process."""

import atexit
import os
import shutil
import tempfile

from gdl_jax import runtime

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The programs that the tests compile are no use to anybody later, and the user's cache is none of theirs.
os.environ["GDL_JAX_CACHE"] = tempfile.mkdtemp(prefix="gdl_jax_cache_")
atexit.register(shutil.rmtree, os.environ["GDL_JAX_CACHE"], ignore_errors=True)
runtime.set_defaults()

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
