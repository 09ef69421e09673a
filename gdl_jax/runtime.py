"""What has to be set in the process before jax is imported. This file must not import jax."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.metadata import version

YNN = "--xla_cpu_experimental_ynn_fusion_type"
DOTS_ALONE = f"{YNN}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
"""Of what XLA hands to its YNN library on CPU by default, only matrix products; convolutions go back to Eigen.

Measured on two cores in float32, jaxlib 0.10.2 and 0.12.0: a 3x3 convolution of 64 images of 32x32, 64 -> 64 channels,
44 -> 17 ms, its kernel gradient 49 -> 30 ms; a dense layer's input gradient (64, 12544) x (12544, 100) takes 0.8 ms,
and 1.5-2.2 ms with the flag empty, which hands matrix products back as well.
"""

ALLOCATOR = {-1: 2**31 - 1, -4: 0, -8: 1}
"""Options of glibc's mallopt(3): M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX."""


def set_defaults() -> None:
    """Sets the XLA flags that this library wants, and keeps freed memory; a flag that the user has set stays as it is.

    XLA on CPU allocates a program's temporary memory anew for each call. glibc maps large blocks from the kernel and
    gives them back every time, likewise what does not fit into the 64 MiB of a thread's arena, and the kernel has to
    find and clear every page again: a step of the 28x28 VAE with batch 128 took 65 ms instead of 44.
    """
    release = tuple(int(part) for part in version("jaxlib").split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    # An unknown flag aborts the process, so only for releases on which it was tried.
    if (0, 10) <= release <= (0, 12) and YNN not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DOTS_ALONE}".strip()
    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            for option, value in ALLOCATOR.items():
                mallopt(option, value)
