"""The order of the examples: a function of (seed, epoch) alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from gdl_jax.errors import UsageError


@lru_cache(maxsize=2)
def _permutation(num_examples: int, seed: int, epoch: int) -> Int[np.ndarray, " num_examples"]:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    return generator.permutation(num_examples).astype(np.int32)


@dataclass(frozen=True)
class Order:
    """Shuffled anew in every epoch; the examples that fill no batch are left out of that epoch.

    Attributes:
        num_examples: in the data set.
        batch_size: over all devices and processes.
        seed: from 0 to 2**64 - 1.
    """

    num_examples: int
    batch_size: int
    seed: int

    def __post_init__(self):
        if self.batch_size < 1 or self.batch_size > self.num_examples:
            raise UsageError(
                f"A batch of {self.batch_size} cannot be drawn from {self.num_examples} examples; "
                f"set --batch-size between 1 and {self.num_examples}."
            )

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.num_examples // self.batch_size

    def epoch(self, batch: int) -> float:
        """The position in epochs at the beginning of a batch, counted from 0 over the whole run."""
        return batch / self.batches_per_epoch

    def indices(self, batch: int, count: int) -> Int[np.ndarray, "count batch_size"]:
        """The examples of `count` batches from number `batch` on."""
        rows = []
        for number in range(batch, batch + count):
            epoch, position = divmod(number, self.batches_per_epoch)
            start = position * self.batch_size
            rows.append(_permutation(self.num_examples, self.seed, epoch)[start : start + self.batch_size])
        return np.stack(rows)


def digest(indices: Int[np.ndarray, ...]) -> str:
    """Eight hexadecimal digits that tell two batches apart."""
    return f"{zlib.crc32(np.ascontiguousarray(indices, np.int32).tobytes()):08x}"
