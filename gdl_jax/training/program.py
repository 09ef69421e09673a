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
from jaxtyping import Float, Int, UInt8

from gdl_jax.data.pipeline import Pipeline
from gdl_jax.data.source import ArraySpec
from gdl_jax.data.transforms import scale, to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.models.model import Evaluates, ImageModel, Model, NamesImages, Prepares, Reconstructs, Samples
from gdl_jax.steps.augmentation import random_flip
from gdl_jax.steps.devices import put, replicated, split_along, whole_batch
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


def prepare(batch: Batch, model: Model, key: Array | None = None, *, flip: bool = False) -> Batch:
    """What a model is given of a batch of the data.

    Its images come in its range, all else comes as it is; a model that `Prepares` does by itself what it likes.

    Args:
        batch: arrays of the data with any leading axes.
        model: whose batch it is.
        key: of this step; None outside of training.
        flip: mirror at random, each image together with what lies over it, such as its mask.

    Raises:
        UsageError: the data have not the images that the model is for.
    """
    if isinstance(model, Prepares):
        return model.prepare(batch, key)
    if not isinstance(model, ImageModel):
        return batch
    names = image_keys(model)
    for name in names:
        if name not in batch:
            raise UsageError(f"The model is one of images, {name!r}, and the data have only {', '.join(batch)}.")
    if flip:
        over = {name for name in batch if batch[name].shape[:-1] in {batch[image].shape[:-1] for image in names}}
        batch = {name: random_flip(x, key) if name in over else x for name, x in batch.items()}
    return {**batch, **{name: scale(batch[name], model.image_range) for name in names}}


def image_keys(model: Model) -> tuple[str, ...]:
    """The arrays of the data that are images to the model."""
    if isinstance(model, NamesImages):
        return model.image_keys
    return ("image",) if isinstance(model, ImageModel) else ()


def check_flip(model: Model, spec: Mapping[str, ArraySpec], settings: RunSettings) -> None:
    """Whether what is to be mirrored can be.

    Raises:
        UsageError: it cannot; `--data.flip` was set.
    """
    if not settings.data.flip:
        return
    if isinstance(model, Prepares) or not isinstance(model, ImageModel):
        raise UsageError("--data.flip mirrors images, and this model has none or prepares them itself; leave it out.")
    sizes = {spec[name].shape[:2] for name in image_keys(model)}
    for name, array in spec.items():
        if array.shape[:2] in sizes and len(array.shape) != 3:
            raise UsageError(
                f"--data.flip would mirror the images and not {name!r} of shape {array.shape}, which lies over them; "
                "leave it out, or give that array a last axis for channels."
            )


def abstract_batch(spec: Mapping[str, ArraySpec], batch_size: int, model: Model) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a batch as `Model.init` sees it."""
    raw = {name: jax.ShapeDtypeStruct((batch_size, *array.shape), array.dtype) for name, array in spec.items()}
    return jax.eval_shape(lambda batch: prepare(batch, model), raw)


def abstract_carry(model: Model, spec: Mapping[str, ArraySpec], batch_size: int, mesh: Mesh) -> Carry:
    """Shapes, dtypes and shardings of everything that changes, without computing any of it."""
    batch = abstract_batch(spec, batch_size, model)
    batches = jax.tree.map(lambda x: jax.ShapeDtypeStruct((model.batches_per_step, *x.shape), x.dtype), batch)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(model.init, key, batch)
    _, meter = jax.eval_shape(model.step, state, batches, key)
    place = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), Carry(state, meter))


def init_state(model: Model, spec: Mapping[str, ArraySpec], batch_size: int, seed: int, mesh: Mesh) -> TrainState:
    """The state before the first step. Made inside jit, so that no two leaves share a buffer and donation is safe."""

    def init() -> TrainState:
        shapes = abstract_batch(spec, batch_size, model)
        return model.init(stream_key(seed, "init"), jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes))

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
        raw = pipeline.select(resident, payload)
        batches = prepare(raw, model, stream_key(seed, "flip", step), flip=settings.data.flip)
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
FloatImages = Float[Array, "num height width channels"]
Sampler = Callable[[TrainState, Array, int], Images]
Reconstructor = Callable[[TrainState, Images], Images]


def make_draw(model: Samples, mesh: Mesh) -> Callable[..., FloatImages]:
    """`model.sample`, compiled so that each device makes its share of the images, and then has all of them."""
    everywhere, split = replicated(mesh), split_along(mesh, 0)

    def draw(state: TrainState, key: Array, num: int) -> FloatImages:
        return jax.lax.with_sharding_constraint(model.sample(state, key, num), split)

    return jax.jit(draw, static_argnames="num", out_shardings=everywhere)


def draw_parts(model: Samples, mesh: Mesh) -> Callable[[TrainState, Array, int], Iterator[Images]]:
    """A function (state, key, num) -> uint8 images, part by part; on several processes all have to call it."""
    draw = make_draw(model, mesh)

    def parts(state: TrainState, key: Array, num: int) -> Iterator[Images]:
        for number, start in enumerate(range(0, num, SAMPLES_PER_CALL)):
            size = min(num - start, SAMPLES_PER_CALL)
            images = draw(state, jax.random.fold_in(key, number), num=whole_batch(size, mesh))
            yield to_uint8(np.asarray(images)[:size], model.image_range)

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


Evaluator = Callable[[TrainState, Batch, Array], Mapping[str, Float[Array, " batch"]]]


def make_evaluator(model: Evaluates, mesh: Mesh) -> Evaluator:
    """`model.evaluate` of a batch of the data, compiled once."""
    return jax.jit(
        lambda state, batch, key: dict(model.evaluate(state, prepare(batch, model), key)),
        out_shardings=replicated(mesh),
    )
