"""A trace of some calls of the training step."""

from __future__ import annotations

from pathlib import Path

import jax

PROFILED_CALLS = 5


class Tracer:
    """Entered around every call; traces some of them, after the first."""

    def __init__(self, folder: Path | None):
        """Writes to the folder; does nothing without one."""
        self._folder = folder
        self._calls = 0
        self._running = False

    def __enter__(self) -> None:
        if self._folder and self._calls == 1:
            jax.profiler.start_trace(str(self._folder))
            self._running = True

    def __exit__(self, *_: object) -> None:
        self._calls += 1
        if self._calls > PROFILED_CALLS:
            self.close()

    def close(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
