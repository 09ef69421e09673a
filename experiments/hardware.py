"""On what something was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import jax


def device() -> dict[str, Any]:
    """Kind and number of the devices, and the processor beside them."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind if first.platform != "cpu" else processor(),
        "count": jax.device_count(),
        "processes": jax.process_count(),
        "cores": cores(),
        "host": processor(),
    }


def cores() -> int:
    """Processor cores that this process may use: XLA's thread pool on CPU has as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
