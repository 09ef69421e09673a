"""Settings of every run, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """Metrics of samples while training: those of the verb `evaluate`, taken as it takes them."""

    every: int = 0
    """Steps between two of them; 0: none. A checkpoint is saved with each, and the first metric that has a better end
    chooses the best one."""
    metrics: str = "fid"
    """Which, with commas between; see `evaluate --help`."""
    features: str = "default"
    """In which features: a name or a weight file, as `evaluate --features` takes them; default: those of the classifier
    that comes with this library for the data, else pixels."""
    num: int | None = None
    """Samples (default: as many as test images, 10,000 at the most)."""
    seconds: float = 600.0
    """Wall time that they may take in the whole run: none begins once so much is spent."""

    def __post_init__(self):
        if self.every < 0:
            raise UsageError(f"--eval.every is {self.every}; it has to be 0 or more.")
        if self.num is not None and self.num < 2:
            raise UsageError(f"--eval.num is {self.num}; it has to be 2 or more.")
        if not self.seconds > 0:
            raise UsageError(f"--eval.seconds is {self.seconds}; it has to be above 0.")


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
    """Steps between two evaluations on the test set; 0: none."""
    evaluate_samples: int = 10_000
    """Samples that an evaluation compares with as many test images, at the most; 0: none."""
    eval: EvalSettings = field(default_factory=EvalSettings)
    checkpoint_every: int = 500
    """Steps between two checkpoints; one more is saved with each evaluation that may be the best."""
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
        "checkpoint_every",
        "keep_checkpoints",
        "num_samples",
        "steps_per_call",
    )
    """The whole numbers that have to be above 0."""
    not_negative: ClassVar[tuple[str, ...]] = ()
    """The numbers that have to be 0 or above."""

    def __post_init__(self):
        for name in self.positive:
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be 1 or more.")
        for name in ("evaluate_every", "evaluate_samples", *self.not_negative):
            if not getattr(self, name) >= 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be 0 or more.")
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
        "eval.every",
        "eval.metrics",
        "eval.features",
        "eval.num",
        "eval.seconds",
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
