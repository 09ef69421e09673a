"""What the devices can do: large matrix products and a large copy, measured in the rounds of the experiment itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from benchmarks.measure import Contestant, Spread
from gdl_jax.steps.devices import replicated, split_along

SECONDS = 0.1
"""Of each time: a peak is the best of them, so that they may be short."""


@dataclass(frozen=True)
class Probes:
    """Programs that do nothing but arithmetic, or nothing but moving memory, on all devices of a mesh."""

    mesh: Mesh
    dtype: str
    contestants: dict[str, Contestant] = field(default_factory=dict)
    amounts: dict[str, float] = field(default_factory=dict)
    """Operations, or bytes read and written, of one call on all devices together."""

    def rates(self, times: Mapping[str, Spread]) -> dict[str, Any]:
        """The best rate of each kind: operations ("matmul") and bytes ("copy") per second, of all devices together."""
        best = {name: amount / min(times[name].values) for name, amount in self.amounts.items()}
        matmul = max((name for name in best if name.startswith("matmul")), key=best.__getitem__)
        return {
            "dtype": self.dtype,
            "devices": self.mesh.size,
            "matmul": matmul,
            "matmul_flops_per_second": best[matmul],
            "copy_bytes_per_second": best["copy"],
        }


def make_probes(mesh: Mesh, dtype: str) -> Probes:
    """At jax's default precision."""
    on_cpu, probes = mesh.devices.flat[0].platform == "cpu", Probes(mesh, dtype)
    everywhere, rows = replicated(mesh), split_along(mesh, 0)

    def fill(shape: tuple[int, ...], sharding: jax.sharding.Sharding) -> jax.Array:
        return jax.jit(lambda: jnp.full(shape, 0.5, dtype), out_shardings=sharding)()

    def add(name: str, amount: float, work: Callable[[jax.Array], jax.Array], x: jax.Array) -> None:
        probes.contestants[name], probes.amounts[name] = _repeat(work, x), amount

    for side in (1024, 2048) if on_cpu else (8192,):
        matrix, stack = fill((side, side), everywhere), fill((mesh.size * side, side), rows)
        multiply = jax.jit(lambda x, y: x @ y, out_shardings=rows)
        add(f"matmul {side}", 2 * stack.size * side, partial(multiply, y=matrix), stack)
    flat = fill((mesh.size * (2**26 if on_cpu else 2**30) // jnp.dtype(dtype).itemsize,), rows)
    # In place: a fresh result of this size would cost the operating system more than the copy costs the memory.
    add("copy", 2 * flat.nbytes, jax.jit(jnp.negative, donate_argnums=0, out_shardings=rows), flat)
    return probes


def _repeat(work: Callable[[jax.Array], jax.Array], x: jax.Array) -> Contestant:
    """Calls `work` on its own result, one call at a time: results in flight would pile up."""

    def advance(calls: int) -> None:
        nonlocal x
        for _ in range(calls):
            x = work(x).block_until_ready()

    return Contestant(advance, seconds=SECONDS)
