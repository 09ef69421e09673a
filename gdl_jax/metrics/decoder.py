"""A map from latent vectors to images, for measures that look at the map and not at a set of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
from jax import Array
from jaxtyping import Float, Key, PyTree

Latents = Float[Array, "num latent"]
FloatImages = Float[Array, "num height width channels"]
Draw = Callable[[Key[Array, ""], int], Latents]
Decode = Callable[[PyTree, Latents], FloatImages]


@dataclass(frozen=True)
class Decoder:
    """Both functions can be traced, and what is compiled of them serves every state.

    Attributes:
        draw: (key, num) -> latent vectors of the prior.
        decode: (state, latent vectors) -> images in [0, 1].
        state: what `decode` is given, such as parameters.
    """

    draw: Draw
    decode: Decode
    state: PyTree

    def latents(self, key: Key[Array, ""], num: int) -> Latents:
        """Of the prior."""
        return _drawn(self.draw, key, num)

    def images(self, latents: Latents) -> FloatImages:
        """In [0, 1]."""
        return _decoded(self.decode, self.state, latents)


@partial(jax.jit, static_argnums=(0, 2))
def _drawn(draw: Draw, key: Key[Array, ""], num: int) -> Latents:
    return draw(key, num)


@partial(jax.jit, static_argnums=0)
def _decoded(decode: Decode, state: PyTree, latents: Latents) -> FloatImages:
    return decode(state, latents)
