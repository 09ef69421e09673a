"""Compiled programs kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import jax


def cache_folder() -> Path:
    """$GDL_JAX_CACHE, else the user's cache folder."""
    if "GDL_JAX_CACHE" in os.environ:
        return Path(os.environ["GDL_JAX_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gdl_jax"


def keep_compiled_programs() -> None:
    """Turns jax's persistent compilation cache on, unless the user has chosen a folder for it or cannot write ours."""
    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = cache_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
