"""An order of examples that does not depend on the order in which they came.

Parts of a set, halves and batches are drawn by place; a folder sorted by class, or a generator that draws its classes
in turn, would otherwise measure differently from the same images shuffled.
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Int, Shaped

from gdl_jax.metrics.spill import blocks, spilled

ORDER = "by SHA-256 of each image, then shuffled (seed 0): the order in which images came does not matter"
ORDER_OF_DRAWN = f"{ORDER}; samples as they were drawn, shuffled (seed 0)"
"""For the protocol."""


def random_order(examples: Shaped[np.ndarray, "num ..."], seed: int = 0) -> Int[np.ndarray, " num"]:
    """Places of the examples by the SHA-256 of what each is, shuffled.

    By the digests alone equal examples would stand side by side, and so in the same part of a set.
    """
    digests = [hashlib.sha256(np.ascontiguousarray(x).data).digest() for part in blocks(examples) for x in part]
    by_content = np.array(sorted(range(len(digests)), key=digests.__getitem__))
    return by_content[np.random.default_rng(seed).permutation(len(by_content))]


def reordered(array: Shaped[np.ndarray, "_num ..."], order: Int[np.ndarray, " num"]) -> Shaped[np.ndarray, "num ..."]:
    """The rows at these places, in a file; see `spilled`."""
    (found,) = spilled((array[part],) for part in blocks(order))
    return found


def some_of(length: int, num: int, seed: int = 0) -> Int[np.ndarray, " num"]:
    """The places of so many examples at random, ascending: for sources are often sorted, and first ones no sample."""
    return np.sort(np.random.default_rng(seed).choice(length, num, replace=False))
