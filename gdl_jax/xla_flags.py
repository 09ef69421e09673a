"""XLA flags that have to be in the environment before jax is imported. This file must not import jax."""

from __future__ import annotations

import os
from importlib.metadata import version

YNN = "--xla_cpu_experimental_ynn_fusion_type="
"""Empty: hands convolutions on CPU back from the experimental YNN library to Eigen.

Measured on jaxlib 0.10.2 (two cores, float32, 64 images of 32x32, 3x3, 64 -> 64 channels): forward 40 -> 25 ms, input
gradient 37 -> 22 ms, kernel gradient 135 -> 42 ms.
"""


def set_defaults() -> None:
    """Adds the flags that this library wants to XLA_FLAGS; a flag that the user has set stays as it is."""
    release = tuple(int(part) for part in version("jaxlib").split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    # An unknown flag aborts the process, so only for releases on which it was tried.
    if (0, 10) <= release <= (0, 12) and YNN.rstrip("=") not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {YNN}".strip()
