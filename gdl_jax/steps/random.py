"""All randomness is a function of (seed, stream, step): nothing random is carried or saved, so resuming is exact."""

from __future__ import annotations

import zlib

import jax
from jax import Array
from jaxtyping import Int, Key


def stream_key(seed: int, stream: str, step: int | Int[Array, ""] = 0) -> Key[Array, ""]:
    """The key of a named stream at a step; streams are told apart by the CRC-32 of their names.

    Args:
        seed: the run's seed.
        stream: what the randomness is for, such as "init", "step", "sample".
        step: may be traced.
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    return jax.random.fold_in(key, step)
