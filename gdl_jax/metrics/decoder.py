"""A map from latent vectors to images, for measures that look at the map and not at a set of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jax import Array
from jaxtyping import Float, Key

Latents = Float[Array, "num latent"]
FloatImages = Float[Array, "num height width channels"]


@dataclass(frozen=True)
class Decoder:
    """Both functions can be traced.

    Attributes:
        draw: (key, num) -> latent vectors of the prior.
        decode: latent vectors -> images in [0, 1].
    """

    draw: Callable[[Key[Array, ""], int], Latents]
    decode: Callable[[Latents], FloatImages]
