"""Timing: contestants take turns, the first calls are thrown away, and a figure is a median with its quartiles."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FIRST_CALLS = 3
"""Calls of each contestant before anything is timed: they allocate, compile and fill caches."""

PAUSE_SECONDS = 0.05
"""Between two contestants, so that the threads of the one before have gone to sleep."""


@dataclass(frozen=True)
class Contestant:
    """Something that takes training steps."""

    advance: Callable[[int], object]
    """Makes so many calls and returns when the device has finished the last."""
    steps_per_call: int = 1
    seconds: float | None = None
    """The least that each of its times lasts, where it is not that of the others."""


@dataclass(frozen=True)
class Spread:
    """One value per round, in the order of the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third; between them lies half of the rounds."""
        if len(self.values) == 1:
            return self.values * 2
        first, _, third = statistics.quantiles(self.values, n=4, method="inclusive")
        return first, third

    def over(self, other: Spread) -> Spread:
        """The ratio to another, round by round: both have met the same disturbances."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def minus(self, other: Spread) -> Spread:
        """The difference to another, round by round."""
        return Spread(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def to_json(self, name: str) -> dict[str, Any]:
        """The median under `name`, and beside it the interquartile range and the whole range."""
        return {
            name: self.median,
            f"{name}_quartiles": list(self.quartiles),
            f"{name}_range": [min(self.values), max(self.values)],
        }


def take_turns(contestants: Mapping[str, Contestant], *, rounds: int, seconds: float) -> dict[str, Spread]:
    """Seconds per step of each contestant, who all run once in every round; every other round runs backwards.

    Args:
        contestants: by name.
        rounds: how often each is timed.
        seconds: the least that one of these times is to last; the number of calls is chosen so.
    """
    calls = {}
    for name, contestant in contestants.items():
        contestant.advance(FIRST_CALLS)
        least = seconds if contestant.seconds is None else min(seconds, contestant.seconds)
        calls[name] = max(1, math.ceil(least / _seconds(contestant, 2) * 2))
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            contestant = contestants[name]
            time.sleep(PAUSE_SECONDS)
            contestant.advance(1)
            steps = calls[name] * contestant.steps_per_call
            found[name].append(_seconds(contestant, calls[name]) / steps)
    return {name: Spread(tuple(values)) for name, values in found.items()}


def _seconds(contestant: Contestant, calls: int) -> float:
    start = time.perf_counter()
    contestant.advance(calls)
    return time.perf_counter() - start
