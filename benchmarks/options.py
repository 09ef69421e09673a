"""Options that several benchmarks have, and what is said of wrong ones."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from experiments.command_line import Launch, parse_training
from experiments.registry import Experiment, Study, find
from gdl_jax.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Of every benchmark."""

    least: ClassVar[dict[str, float]] = {}
    """The smallest value of each option that is a number."""

    json: Path | None = None
    """File for the record."""

    def __post_init__(self):
        for name, least in self.least.items():
            value = getattr(self, name)
            # Written so that it holds for no NaN.
            if value is not None and not least <= value < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} is {value}; it has to be {least} or more.")
        if self.json is not None:
            _check_writable(self.json)


@dataclass(frozen=True, kw_only=True)
class StepOptions(BenchmarkOptions):
    """Of the benchmarks of training steps."""

    least: ClassVar[dict[str, float]] = {"batch_size": 1}

    preset: str | None = None
    """Settings to start from, such as smoke."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Of the networks' computations (default: the experiment's)."""
    batch_size: int | None = None
    """Examples in a batch, over all devices (default: the experiment's)."""

    @property
    def words(self) -> list[str]:
        """These three, as on the command line."""
        given = {"--preset": self.preset, "--dtype": self.dtype, "--batch-size": self.batch_size}
        return [word for option, value in given.items() if value is not None for word in (option, str(value))]

    def experiment(self, line: str) -> Experiment:
        """The experiment as it is measured.

        Args:
            line: its name, and the settings that the launcher would take after it.

        Raises:
            UsageError: there is no such experiment, preset or setting.
        """
        try:
            name, *arguments = shlex.split(line) or [line]
        except ValueError as error:
            raise UsageError(f"{line!r} cannot be split into words: {error}.") from error
        entry = find(name)
        if issubclass(entry, Study):
            raise UsageError(f"{name!r} is a study, which has no training step to measure; name an experiment.")
        preset = [] if self.preset is None else ["--preset", self.preset]
        launch, experiment = parse_training(name, entry, [*preset, *arguments])
        if launch != Launch(preset=launch.preset):
            raise UsageError(
                f"{line!r} says where or how a training starts, which a benchmark does not; "
                "give settings of the experiment, or --preset, alone."
            )
        changes = {"dtype": self.dtype, "batch_size": self.batch_size}
        return dataclasses.replace(experiment, **{key: value for key, value in changes.items() if value is not None})


def _check_writable(path: Path) -> None:
    """Before anything is measured."""
    if path.is_dir():
        raise UsageError(f"--json {path} is a folder; give a file.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--json {path} cannot be written: {folder} is no folder that takes files.")
