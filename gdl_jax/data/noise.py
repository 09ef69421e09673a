"""Images of pure noise, for benchmarks: they cost nothing to read and any size can be had."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from gdl_jax.data.source import ArraySource, DataSettings, Split, reject_crop


def images(*, seed: int, split: Split, n: int, size: int, channels: int) -> UInt8[np.ndarray, "n size size channels"]:
    """Independent uniform bytes, a function of (seed, split); a smaller `n` gives the first of the same images."""
    generator = np.random.Generator(np.random.Philox(key=[seed % 2**64, ("train", "test").index(split)]))
    return generator.integers(0, 256, (n, size, size, channels), np.uint8)


def load(settings: DataSettings, split: Split) -> ArraySource:
    """Noise of `settings.size` (32) pixels and `settings.channels` (3), `settings.num_examples` (1,024) images."""
    reject_crop(settings)
    noise = images(
        seed=settings.seed,
        split=split,
        n=settings.num_examples or 1024,
        size=settings.size or 32,
        channels=settings.channels or 3,
    )
    return ArraySource("noise", {"image": noise})
