"""From a source to the batches of a compiled call, on the device or from the host: same order, same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import grain
import numpy as np
from jax import Array

from gdl_jax.data.order import Order
from gdl_jax.data.source import ArraySource, Source, nbytes, resident

RESIDENT_BYTES = 2 * 2**30
"""A data set up to this size is kept on every device."""


@runtime_checkable
class Pipeline(Protocol):
    """Feeds calls of `steps` training steps with `batches` batches each."""

    resident: Mapping[str, np.ndarray]
    """What is put on every device once; {} if nothing is."""

    def calls(self, step: int, steps: int, batches: int, last: int) -> Iterator[Mapping[str, np.ndarray]]:
        """This process's rows of what is split over the devices along axis 2, for every call from `step` up to `last`.

        Yields:
            Leaves of shape (steps, batches, rows, ...).
        """

    def select(self, resident: Mapping[str, Array], payload: Mapping[str, Array]) -> Mapping[str, Array]:
        """Inside the compiled step: one step's batches, leaves of shape (batches, batch_size, ...)."""


@dataclass(frozen=True)
class DevicePipeline:
    """The whole data set lives on every device; the host sends indices, and the compiled step gathers."""

    source: ArraySource
    order: Order
    rows: slice

    @property
    def resident(self) -> Mapping[str, np.ndarray]:
        """The data set itself."""
        return self.source.arrays

    def calls(self, step: int, steps: int, batches: int, last: int) -> Iterator[Mapping[str, np.ndarray]]:
        """See `Pipeline`."""
        for start in range(step, last, steps):
            indices = self.order.indices(start * batches, steps * batches)[:, self.rows]
            yield {"indices": indices.reshape(steps, batches, -1)}

    def select(self, resident: Mapping[str, Array], payload: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `Pipeline`."""
        return {name: array[payload["indices"]] for name, array in resident.items()}


@dataclass(frozen=True)
class HostPipeline:
    """Threads read and decode the examples some calls ahead."""

    source: Source
    order: Order
    rows: slice
    threads: int = 8

    resident = {}  # noqa: RUF012  (no field: the protocol's attribute, and never written)

    def calls(self, step: int, steps: int, batches: int, last: int) -> Iterator[Mapping[str, np.ndarray]]:
        """See `Pipeline`."""

        def read(start: int) -> dict[str, np.ndarray]:
            indices = self.order.indices(start * batches, steps * batches)[:, self.rows]
            examples = self.source.take(indices.reshape(-1))
            return {name: array.reshape(steps, batches, -1, *array.shape[1:]) for name, array in examples.items()}

        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=2 * self.threads)
        yield from grain.MapDataset.range(step, last, steps).map(read).to_iter_dataset(options)

    def select(self, resident: Mapping[str, Array], payload: Mapping[str, Array]) -> Mapping[str, Array]:
        """See `Pipeline`."""
        return payload


def make_pipeline(source: Source, order: Order, rows: slice, placement: str) -> DevicePipeline | HostPipeline:
    """Chooses by size, or as told: "auto", "device" or "host".

    Args:
        source: the training examples.
        order: of the whole batch.
        rows: of a batch, those that this process feeds.
        placement: "auto", "device" or "host".
    """
    if placement == "device" or (placement == "auto" and nbytes(source) <= RESIDENT_BYTES):
        return DevicePipeline(resident(source), order, rows)
    return HostPipeline(source, order, rows)
