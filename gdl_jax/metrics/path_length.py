"""How evenly a generator turns latent vectors into images: perceptual path length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

from gdl_jax.errors import UsageError
from gdl_jax.latents import lerp, slerp
from gdl_jax.metrics.decoder import Decode, Decoder, Draw, FloatImages
from gdl_jax.metrics.kernel import Estimate
from gdl_jax.steps.random import stream_key

BATCH = 128


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """Which steps of which paths perceptual path length measures."""

    line: Literal["slerp", "lerp"] = "slerp"
    """Great circles between latent vectors (for N(0, 1)), or straight lines (for a mapped space)."""
    ends: Literal["full", "end"] = "full"
    """A step anywhere on a path, or only where it begins."""
    epsilon: float = 1e-4
    """Length of a step, as a share of the path."""
    num: int = 10_000
    """Paths."""

    def __post_init__(self):
        if not 0 < self.epsilon < 1:
            raise UsageError(f"--path.epsilon is {self.epsilon}; it has to be between 0 and 1.")
        if self.num < 2:
            raise UsageError(f"--path.num is {self.num}; it has to be 2 or more.")


def path_length(
    decoder: Decoder,
    features: Callable[[FloatImages], Float[Array, "num units"]],
    *,
    settings: PathSettings = PathSettings(),
    tails: float = 0.01,
    seed: int = 0,
) -> Estimate:
    """The mean squared distance of features over a small step on a path between latent vectors, over the step squared.

    E |f(G(z(t + epsilon))) - f(G(z(t)))|^2 / epsilon^2: Karras et al. 2019 (arXiv:1812.04948), section 4.1, eq. 2;
    t = 0 always ("end") in section 4 of Karras et al. 2020 (arXiv:1912.04958). The smallest and the largest hundredth
    are left out. With the paper's features (LPIPS of VGG-16) their scale; with others a scale of its own.

    Args:
        decoder: of the generator; what else it draws it has to draw alike for both ends.
        features: of images in [0, 1]; traced.
        settings: of the paths.
        tails: share of the paths that is left out at either end.
        seed: of the latent vectors and places.

    Returns:
        The mean, and the standard deviation of its error.
    """
    measure = partial(_squares, decoder.draw, decoder.decode, features, settings, decoder.state)
    calls = -(-settings.num // BATCH)
    found = np.concatenate([np.asarray(measure(stream_key(seed, "path length", i)), np.float64) for i in range(calls)])
    kept = np.sort(found[: settings.num])
    cut = int(tails * len(kept))
    kept = kept[cut : len(kept) - cut]
    return Estimate(float(kept.mean()), float(kept.std(ddof=1) / np.sqrt(len(kept))))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _squares(
    draw: Draw,
    decode: Decode,
    features: Callable[[FloatImages], Float[Array, "num units"]],
    settings: PathSettings,
    state: PyTree,
    key: Array,
) -> Float[Array, " num"]:
    """Of the steps on `BATCH` paths; the functions are compiled once for all states."""
    path = {"slerp": slerp, "lerp": lerp}[settings.line]
    ends, place = jax.random.split(key)
    latents = draw(ends, 2 * BATCH)
    start, end = latents[:BATCH], latents[BATCH:]
    at = jax.random.uniform(place, (BATCH,)) if settings.ends == "full" else jnp.zeros(BATCH)

    def along(t: Array) -> Array:
        # Every pair has a place of its own.
        points = jax.vmap(lambda a, b, t: path(a[None], b[None], t)[0])(start, end, t)
        return features(decode(state, points))

    # A step is small: in an accelerator's default precision its difference would be rounding and little else.
    with jax.default_matmul_precision("float32"):
        return jnp.square(along(at + settings.epsilon) - along(at)).sum(1) / settings.epsilon**2
