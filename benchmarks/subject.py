"""An experiment as it is measured: the library's own pipeline, compiled call and feed."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from benchmarks.measure import Contestant
from experiments.registry import Experiment
from gdl_jax.data.order import Order
from gdl_jax.data.pipeline import Pipeline, make_pipeline
from gdl_jax.data.source import Source, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.models.model import Model
from gdl_jax.steps.devices import check_divisible, local_rows, put, replicated, split_along
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.state import TrainState
from gdl_jax.training.loop import CALLS_IN_FLIGHT
from gdl_jax.training.program import Carry, TrainingCall, abstract_carry, compile_call, empty_meter, init_state

ENDLESS = 10**9
"""More calls than anyone waits for."""

PREPARED = 4
"""Payloads that wait on the devices for a synthetic run."""


def counted(model: Model) -> tuple[Model, list[Batch]]:
    """The model, and a list that grows whenever its step is traced."""
    traces: list[Batch] = []

    def step(state: TrainState, batches: Batch, key: Array) -> tuple[TrainState, Metrics]:
        traces.append(batches)
        return model.step(state, batches, key)

    ours = copy.copy(model)
    # Not by a wrapper: what training looks for in a model, by its protocols, must be found in its own class.
    object.__setattr__(ours, "step", step)
    return ours, traces


@dataclass(frozen=True)
class Subject:
    """An experiment compiled for a mesh."""

    name: str
    experiment: Experiment
    source: Source
    mesh: Mesh
    model: Model
    pipeline: Pipeline
    carry: Carry
    """Shapes only."""
    call: TrainingCall
    traces: int
    """Of the training step, while it was compiled; the compiled call takes no other shapes, so that none can follow."""

    @property
    def data(self) -> DataSpec:
        """What the model knows of its data."""
        return DataSpec.of(self.source)

    @property
    def examples_per_step(self) -> int:
        """Real examples that a step consumes, over all devices."""
        return self.experiment.batch_size * self.model.batches_per_step

    @cached_property
    def start(self) -> Carry:
        """Before the first step."""
        settings = self.experiment
        state = init_state(self.model, self.source.spec, settings.batch_size, settings.seed, self.mesh)
        return Carry(state, empty_meter(self.carry, self.mesh))

    def cost(self, what: str) -> float | None:
        """Of one call on all devices, as the compiler counts "flops" or "bytes accessed"; None if it does not.

        The compiler counts one device's part, and the body of a loop once: hence all figures that rest on this are of
        a call with one step.
        """
        count = (self.call.compiled.cost_analysis() or {}).get(what, 0.0)
        return float(count) * self.mesh.size if count > 0 else None

    def memory(self) -> dict[str, int]:
        """Bytes that the compiled call takes on each device; `peak` counts what is donated once."""
        found = self.call.compiled.memory_analysis()
        names = ("argument", "output", "temp", "alias", "generated_code")
        sizes = {name: int(getattr(found, f"{name}_size_in_bytes", 0)) for name in names}
        return {**sizes, "peak": sum(sizes.values()) - 2 * sizes["alias"]}

    def real(self) -> Contestant:
        """Steps on the experiment's data, fed as the training loop feeds them."""
        feed = self.pipeline.calls(0, self.experiment.steps_per_call, self.model.batches_per_step, ENDLESS)
        split = split_along(self.mesh, 2)
        return self._contestant(self.pipeline.resident, (put(dict(payload), split) for payload in feed))

    def synthetic(self) -> Contestant:
        """Steps on noise in the shape of the experiment's data, with payloads that wait on the devices."""
        feed = self.pipeline.calls(0, self.experiment.steps_per_call, self.model.batches_per_step, ENDLESS)
        split = split_along(self.mesh, 2)
        payloads = [put(self._noise(payload), split) for payload in itertools.islice(feed, PREPARED)]
        return self._contestant(self._noise(self.pipeline.resident), itertools.cycle(payloads))

    def _noise(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # The pipeline's own arrays, such as the indices of a batch, stay.
        return {name: noise_like(array) if name in self.source.spec else array for name, array in arrays.items()}

    def _contestant(self, resident: Mapping[str, np.ndarray], payloads: Iterator[Mapping[str, Array]]) -> Contestant:
        everywhere = replicated(self.mesh)
        on_devices = put(dict(resident), everywhere)
        # The call donates it.
        carry = jax.tree.map(jnp.copy, self.start)

        def advance(calls: int) -> None:
            nonlocal carry
            in_flight: deque[Array] = deque()
            for _ in range(calls):
                carry, reached = self.call(carry, on_devices, next(payloads))
                in_flight.append(reached)
                if len(in_flight) > CALLS_IN_FLIGHT:
                    jax.block_until_ready(in_flight.popleft())
            jax.block_until_ready(carry)

        return Contestant(advance, self.experiment.steps_per_call)


def compile_subject(
    name: str, experiment: Experiment, source: Source, mesh: Mesh, *, steps_per_call: int = 1
) -> Subject:
    """Builds the model and compiles its training call.

    Raises:
        UsageError: the model does not suit the data, or the batch not the mesh.
    """
    check_divisible(experiment.batch_size, mesh)
    experiment = dataclasses.replace(experiment, steps=steps_per_call, steps_per_call=steps_per_call)
    order = Order(len(source), experiment.batch_size, experiment.seed)
    pipeline = make_pipeline(source, order, local_rows(experiment.batch_size, mesh), experiment.data.placement)
    model = experiment.build(DataSpec.of(source))
    carry = abstract_carry(model, source.spec, experiment.batch_size, mesh)
    ours, traces = counted(model)
    call = compile_call(ours, pipeline, carry, experiment, mesh)
    return Subject(name, experiment, source, mesh, model, pipeline, carry, call, len(traces))


def load_source(experiment: Experiment) -> Source:
    """The examples that the experiment trains on."""
    return load(experiment.data, "train")


def noise_like(array: np.ndarray) -> np.ndarray:
    """Uniform noise between the least and the greatest value: pixels, tokens of the vocabulary, waveforms, labels."""
    generator = np.random.Generator(np.random.Philox(key=[0, 0]))
    low, high = array.min(), array.max()
    if np.issubdtype(array.dtype, np.floating):
        return generator.uniform(low, high, array.shape).astype(array.dtype)
    return generator.integers(low, high, array.shape, array.dtype, endpoint=True)
