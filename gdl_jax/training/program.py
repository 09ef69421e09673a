"""The compiled side of a run: the state's shapes, its first value, the training call, the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int, UInt8

from gdl_jax.data.pipeline import Pipeline
from gdl_jax.data.source import ArraySpec
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.models.model import Model, Reconstructs, Samples
from gdl_jax.steps.augmentation import random_flip
from gdl_jax.steps.devices import put, replicated, split_along
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.settings import RunSettings

SAMPLES_PER_CALL = 256


@struct.dataclass
class Carry:
    """What goes through the training call, and into a checkpoint."""

    state: TrainState
    meter: Metrics
    """Merged over the steps since the last line of the log."""


def prepare(batch: Batch, model: Model, key: Array | None = None) -> dict[str, Array]:
    """Pixels to the model's range, mirrored at random where a key is given; everything else as it is."""
    images = batch["image"]
    if key is not None:
        flat = random_flip(images.reshape(-1, *images.shape[-3:]), key)
        images = flat.reshape(images.shape)
    return {**batch, "image": scale(images, model.image_range)}


def abstract_batch(spec: Mapping[str, ArraySpec], batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a batch as `Model.init` sees it."""
    shapes = {
        name: jax.ShapeDtypeStruct((batch_size, *array.shape), jnp.float32 if name == "image" else array.dtype)
        for name, array in spec.items()
    }
    return shapes


def abstract_carry(model: Model, spec: Mapping[str, ArraySpec], batch_size: int, mesh: Mesh) -> Carry:
    """Shapes, dtypes and shardings of everything that changes, without computing any of it."""
    batch = abstract_batch(spec, batch_size)
    batches = {k: jax.ShapeDtypeStruct((model.batches_per_step, *v.shape), v.dtype) for k, v in batch.items()}
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(model.init, key, batch)
    _, meter = jax.eval_shape(model.step, state, batches, key)
    place = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), Carry(state, meter))


def init_state(model: Model, spec: Mapping[str, ArraySpec], batch_size: int, seed: int, mesh: Mesh) -> TrainState:
    """The state before the first step. Made inside jit, so that no two leaves share a buffer and donation is safe."""

    def init() -> TrainState:
        batch = {k: jnp.zeros(v.shape, v.dtype) for k, v in abstract_batch(spec, batch_size).items()}
        return model.init(stream_key(seed, "init"), batch)

    return jax.jit(init, out_shardings=replicated(mesh))()


def empty_meter(carry: Carry, mesh: Mesh) -> Metrics:
    """A meter that has seen nothing."""
    return put(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), carry.meter), replicated(mesh))


@dataclass(frozen=True)
class TrainingCall:
    """`steps_per_call` training steps in one compiled program."""

    compiled: Any
    seconds: float
    """To trace and compile."""
    flops: float
    """Of one step, on all devices, as the compiler counts them; 0 where it does not say."""

    def __call__(
        self, carry: Carry, resident: Mapping[str, Array], payload: Mapping[str, Array]
    ) -> tuple[Carry, Int[Array, ""]]:
        """The carry after the steps, and their number as an array to wait for; the carry given is donated."""
        return self.compiled(carry, resident, payload)


def compile_call(model: Model, pipeline: Pipeline, carry: Carry, settings: RunSettings, mesh: Mesh) -> TrainingCall:
    """Traces the training step once and compiles it for the mesh.

    Args:
        model: whose step it is.
        pipeline: decides how a batch comes about.
        carry: for its shapes only.
        settings: seed, steps per call and mirroring.
        mesh: the devices.
    """
    seed, steps_per_call = settings.seed, settings.steps_per_call
    # XLA on CPU emits some convolutions inside a loop as naive loops: 2,000 ms against 40.
    unrolled = steps_per_call == 1 or mesh.devices.flat[0].platform == "cpu"

    def one_step(carry: Carry, resident: Mapping[str, Array], payload: Mapping[str, Array]) -> Carry:
        step = carry.state.step
        mirror = stream_key(seed, "flip", step) if settings.data.flip else None
        batches = prepare(pipeline.select(resident, payload), model, mirror)
        state, metrics = model.step(carry.state, batches, stream_key(seed, "step", step))
        return Carry(state, carry.meter.merge(metrics))

    def call(carry: Carry, resident: Mapping[str, Array], payload: Mapping[str, Array]) -> tuple[Carry, Int[Array, ""]]:
        if unrolled:
            for i in range(steps_per_call):
                carry = one_step(carry, resident, jax.tree.map(lambda x, i=i: x[i], payload))
        else:
            carry, _ = jax.lax.scan(lambda c, p: (one_step(c, resident, p), None), carry, payload)
        return carry, carry.state.step

    everywhere, split = replicated(mesh), split_along(mesh, 2)
    start = time.perf_counter()
    rows = pipeline.order.batch_size
    local = next(pipeline.calls(0, steps_per_call, model.batches_per_step, steps_per_call))
    payload = {k: jax.ShapeDtypeStruct((*v.shape[:2], rows, *v.shape[3:]), v.dtype) for k, v in local.items()}
    resident = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dict(pipeline.resident))
    jitted = jax.jit(call, donate_argnums=0, in_shardings=(everywhere, everywhere, split), out_shardings=everywhere)
    with jax.set_mesh(mesh):
        compiled = jitted.lower(carry, resident, payload).compile()
    # The compiler tells what one device does, and of a loop's body what it does once.
    counted = steps_per_call if unrolled else 1
    flops = float((compiled.cost_analysis() or {}).get("flops", 0)) * mesh.size / counted
    return TrainingCall(compiled, time.perf_counter() - start, flops)


Images = UInt8[np.ndarray, "num height width channels"]
Sampler = Callable[[TrainState, Array, int], Images]
Reconstructor = Callable[[TrainState, Images], Images]


def draw_parts(model: Samples, mesh: Mesh) -> Callable[[TrainState, Array, int], Iterator[Images]]:
    """A function (state, key, num) -> uint8 images, part by part; on several processes all have to call it."""
    draw = jax.jit(model.sample, static_argnames="num", out_shardings=replicated(mesh))

    def parts(state: TrainState, key: Array, num: int) -> Iterator[Images]:
        for number, start in enumerate(range(0, num, SAMPLES_PER_CALL)):
            size = min(num, SAMPLES_PER_CALL)
            images = draw(state, jax.random.fold_in(key, number), num=size)
            yield to_uint8(np.asarray(images), model.image_range)[: num - start]

    return parts


def make_sampler(model: Samples, mesh: Mesh) -> Sampler:
    """A function (state, key, num) -> uint8 images; on several processes all have to call it, and all get them."""
    parts = draw_parts(model, mesh)
    return lambda state, key, num: np.concatenate(list(parts(state, key, num)))


def make_reconstructor(model: Reconstructs, mesh: Mesh) -> Reconstructor:
    """A function (state, uint8 images) -> uint8 images; on several processes all have to call it with the same ones."""
    place = replicated(mesh)
    decode = jax.jit(
        lambda state, images: model.reconstruct(state, scale(images, model.image_range)), out_shardings=place
    )
    return lambda state, images: to_uint8(np.asarray(decode(state, put(images, place))), model.image_range)
