"""Ctrl-C and SIGTERM end the step, not the process."""

from __future__ import annotations

import os
import signal
from types import FrameType

from gdl_jax.training.processes import greatest


class Interrupt:
    """While it is entered, the first signal is only noted; the second ends the process at once.

    Not by an exception: threads that save in the background would go on while the interpreter is taken down, and say
    that they cannot. A checkpoint that is not whole does not count, as after SIGKILL.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.received: signal.Signals | None = None

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = signal.Signals(number)

    def stops(self) -> bool:
        """Whether any process has received a signal. Every process has to call it, and all get the same answer."""
        number = greatest(self.received or 0)
        if number:
            self.received = signal.Signals(number)
        return bool(number)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number by convention; 0 if there was none."""
        return 0 if self.received is None else 128 + self.received
