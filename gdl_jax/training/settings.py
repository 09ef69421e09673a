"""Settings of every run, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How long to train, on what, and how often to look."""

    steps: int = 1000
    """Training steps in all."""
    batch_size: int = 64
    """Examples in a batch, over all devices and processes."""
    seed: int = 0
    """Of the initial parameters, the order of the data, and all noise."""
    data: DataSettings = DataSettings()
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' computations; parameters, losses and optimiser states are float32."""
    log_every: int = 100
    """Steps between two lines of metrics; each is the mean over the steps since the last."""
    sample_every: int = 500
    """Steps between two grids of samples."""
    evaluate_every: int = 1000
    """Steps between two evaluations on the test set."""
    checkpoint_every: int = 500
    """Steps between two checkpoints."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay; the best one stays besides."""
    num_samples: int = 64
    """Images in a grid of samples."""
    steps_per_call: int = 1
    """Training steps in one compiled call, without the host in between; more pay off on accelerators."""
    tensorboard: bool = True
    """Write TensorBoard events."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """When a loss or gradient is not finite: stop the run, or drop that update, count it and go on."""

    positive: ClassVar[tuple[str, ...]] = (
        "steps",
        "batch_size",
        "log_every",
        "sample_every",
        "evaluate_every",
        "checkpoint_every",
        "keep_checkpoints",
        "num_samples",
        "steps_per_call",
    )
    """The whole numbers that have to be above 0."""

    def __post_init__(self):
        for name in self.positive:
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be 1 or more.")
        check_seed(self.seed)
        if self.steps % self.steps_per_call:
            raise UsageError(
                f"--steps {self.steps} is no multiple of --steps-per-call {self.steps_per_call}; "
                f"set --steps to {-(-self.steps // self.steps_per_call) * self.steps_per_call}."
            )


def check_seed(seed: int) -> None:
    """What jax and NumPy both take for a seed."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed is {seed}; it has to be from 0 to {2**32 - 1}.")


MAY_CHANGE = frozenset(
    {
        "steps",
        "log_every",
        "sample_every",
        "evaluate_every",
        "checkpoint_every",
        "keep_checkpoints",
        "num_samples",
        "steps_per_call",
        "tensorboard",
        "on_nonfinite",
        "data.dir",
        "data.placement",
    }
)
"""What a continued run may set anew: nothing here changes what a step computes."""
