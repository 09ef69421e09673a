"""What the devices can do: a large matrix product and a large copy, measured in the same run as the experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from benchmarks.measure import Contestant, take_turns
from gdl_jax.training.sharding import replicated, split_along

ROUNDS = 5


@dataclass(frozen=True)
class Peaks:
    """The best of some rounds, of all devices of a mesh together, at jax's default precision."""

    dtype: str
    devices: int
    matmul_side: int
    """Each device multiplies square matrices of this side."""
    matmul_flops_per_second: float
    copy_bytes: int
    """Size of the array that each device negates in place."""
    copy_bytes_per_second: float
    """Read and written."""

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@cache
def measure_peaks(mesh: Mesh, dtype: str) -> Peaks:
    """Takes some seconds; the result is kept for the process."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    side, copied = (2048, 2**26) if on_cpu else (8192, 2**30)
    everywhere, rows = replicated(mesh), split_along(mesh, 0)

    def fill(shape: tuple[int, ...], sharding: jax.sharding.Sharding) -> jax.Array:
        return jax.jit(lambda: jnp.full(shape, 0.5, dtype), out_shardings=sharding)()

    matrix = fill((side, side), everywhere)
    flat = fill((mesh.size * copied // jnp.dtype(dtype).itemsize,), rows)
    stack = fill((mesh.size * side, side), rows)
    moved = 2 * mesh.size * copied
    multiply = jax.jit(jnp.matmul, out_shardings=rows)
    # In place: a fresh result of this size would cost the operating system more than the copy costs the memory.
    copy = jax.jit(jnp.negative, donate_argnums=0, out_shardings=rows)
    times = take_turns(
        {"matmul": _repeat(lambda _: multiply(stack, matrix), stack), "copy": _repeat(copy, flat)},
        rounds=ROUNDS,
        seconds=0.2,
    )
    return Peaks(
        dtype=dtype,
        devices=mesh.size,
        matmul_side=side,
        matmul_flops_per_second=2 * stack.size * side / min(times["matmul"].values),
        copy_bytes=copied,
        copy_bytes_per_second=moved / min(times["copy"].values),
    )


def _repeat(work: Callable[[jax.Array], jax.Array], x: jax.Array) -> Contestant:
    """Calls `work` on its own result, one call at a time: results in flight would pile up."""

    def advance(calls: int) -> None:
        nonlocal x
        for _ in range(calls):
            x = work(x).block_until_ready()

    return Contestant(advance)
