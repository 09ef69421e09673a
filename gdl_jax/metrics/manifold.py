"""Precision and recall where the manifold of the data is known: Lucic et al. 2018 (arXiv:1711.10337), section 5.

A sample is precise if the nearest triangle is near; a triangle is recalled if the generator has an image near it. Both
are found by descent, over the triangle's four parameters and over the latent vector.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Float, PyTree, UInt8

from gdl_jax.data.triangles import RADII, TURN, render
from gdl_jax.metrics.decoder import Decode, Decoder
from gdl_jax.metrics.neighbours import nearest
from gdl_jax.steps.minimize import minimize
from gdl_jax.steps.random import stream_key

THRESHOLD = 0.75
"""Euclidean distance of images in [0, 1] below which two count as the same."""
BLOCK = 128

Images = UInt8[np.ndarray, "num height width channels"]


class ManifoldScores(NamedTuple):
    """Shares of the samples and of the data, and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def manifold_scores(
    samples: Images,
    data: Images,
    decoder: Decoder,
    *,
    threshold: float = THRESHOLD,
    num: int = 1024,
    seed: int = 0,
) -> ManifoldScores:
    """Precision, recall and F1 = 2PR / (P + R) of a generator of triangles.

    Args:
        samples: of the generator.
        data: triangles that it was not trained on.
        decoder: of the generator.
        threshold: see `THRESHOLD`; the paper's number, whose unit it leaves open.
        num: samples and data that are looked at, at the most.
        seed: of the latent vectors from which a search starts.

    Raises:
        ValueError: images with colours, or that are not square; or the data are no triangles.
    """
    check_triangles(data, threshold)
    precise = distances_to_triangles(samples[:num]) < threshold
    recalled = distances_to_generator(decoder, data[:num], seed=seed) < threshold
    return scores_of(precise.mean(), recalled.mean())


def check_triangles(data: Images, threshold: float = THRESHOLD) -> None:
    """Whether data are triangles, by the first few.

    Raises:
        ValueError: images with colours, or that are not square; or they are no triangles.
    """
    if np.median(distances_to_triangles(data[:16])) >= threshold:
        raise ValueError("The data are no triangles; train on --data.name triangles.")


def scores_of(precision: float, recall: float) -> ManifoldScores:
    """With F1, which is 0 where both are."""
    both = precision + recall
    return ManifoldScores(float(precision), float(recall), float(2 * precision * recall / both) if both else 0.0)


def distances_to_triangles(images: Images, *, restarts: int = 4, steps: int = 150) -> Float[np.ndarray, " num"]:
    """Euclidean distance of each image in [0, 1] to the nearest picture of `gdl_jax.data.triangles`.

    Adam over the parameters, from the image's centre of mass, a radius after its mass, and so many angles.

    Args:
        images: grey and square.
        restarts: angles to start from.
        steps: of each descent.

    Raises:
        ValueError: images with colours, or that are not square.
    """
    height, width, channels = images.shape[1:]
    if channels != 1 or height != width:
        raise ValueError(f"Triangles are grey and square, and these images are {height}x{width}x{channels}.")
    scaled = images[..., 0].astype(np.float32) / 255
    size = min(BLOCK, len(scaled))
    blocks = [scaled[at : at + size] for at in range(0, len(scaled), size)]
    found = [_to_triangles(_filled(block, size), restarts, steps) for block in blocks]
    return np.concatenate([np.asarray(f)[: len(b)] for f, b in zip(found, blocks, strict=True)])


def distances_to_generator(
    decoder: Decoder, images: Images, *, starts: int = 4096, restarts: int = 5, steps: int = 150, seed: int = 0
) -> Float[np.ndarray, " num"]:
    """Euclidean distance of each image in [0, 1] to the nearest that the generator has.

    Adam over latent vectors, from those of the nearest samples.

    Args:
        decoder: of the generator.
        images: of its shape.
        starts: samples to choose from.
        restarts: how many of them are chosen.
        steps: of each descent.
        seed: of the samples.
    """
    latents = np.asarray(decoder.latents(stream_key(seed, "manifold"), starts))
    drawn = np.concatenate([np.asarray(decoder.images(latents[at : at + BLOCK])) for at in range(0, starts, BLOCK)])
    scaled = images.astype(np.float32) / 255
    flat, known = (x.reshape(len(x), -1).astype(np.float32) for x in (scaled, drawn))
    chosen = latents[nearest(flat, known, restarts).indices]

    found, size = [], min(BLOCK, len(scaled))
    for at in range(0, len(scaled), size):
        part = scaled[at : at + size]
        near = _filled(chosen[at : at + size], size)
        found.append(np.asarray(_to_generator(decoder.decode, steps, decoder.state, _filled(part, size), near)))
    return np.concatenate(found)[: len(scaled)]


@partial(jax.jit, static_argnums=(0, 1))
def _to_generator(
    decode: Decode,
    steps: int,
    state: PyTree,
    images: Float[Array, "num height width channels"],
    latents: Float[Array, "num restarts latent"],
) -> Float[Array, " num"]:
    def squares(latents: Array) -> Array:
        made = decode(state, latents.reshape(-1, latents.shape[-1]))
        return jnp.square(made.reshape(*latents.shape[:2], *made.shape[1:]) - images[:, None]).sum((2, 3, 4))

    return _least(squares, latents, 0.05, steps)


@partial(jax.jit, static_argnames=("restarts", "steps"))
def _to_triangles(images: Float[Array, "num size size"], restarts: int, steps: int) -> Float[Array, " num"]:
    size = images.shape[1]
    places = jnp.asarray(((np.arange(size) + 0.5) / size).astype(np.float32))
    mass = jnp.maximum(images.sum((1, 2)), 1e-6)
    x, y = ((images.sum(axis) * places[None]).sum(1) / mass for axis in (1, 2))
    # Of an equilateral triangle: area = 3 sqrt(3) / 4 radius^2.
    radius = jnp.clip(jnp.sqrt(mass / size**2 * 4 / (3 * np.sqrt(3))), *RADII)
    angles = jnp.asarray((TURN * np.arange(restarts) / restarts).astype(np.float32))
    first = jnp.broadcast_to(jnp.stack([x, y, radius], 1)[:, None], (len(images), restarts, 3))
    start = jnp.concatenate([first, jnp.broadcast_to(angles[None, :, None], (len(images), restarts, 1))], -1)

    def squares(parameters: Array) -> Array:
        return jnp.square(render(_bounded(parameters), size, jnp) - images[:, None]).sum((2, 3))

    return _least(squares, start, 0.02, steps)


def _bounded(parameters: Float[Array, "*batch 4"]) -> Float[Array, "*batch 4"]:
    """The nearest of a triangle that lies wholly in the picture; with the gradient as if there were no bounds.

    For at a bound there would be none, and a descent that starts outside would never come in.
    """
    radius = jnp.clip(parameters[..., 2], *RADII)
    x, y = (jnp.clip(parameters[..., axis], radius, 1 - radius) for axis in (0, 1))
    inside = jnp.stack([x, y, radius, parameters[..., 3]], -1)
    return parameters + lax.stop_gradient(inside - parameters)


def _least(squares, start: Float[Array, "num restarts axes"], rate: float, steps: int) -> Float[Array, " num"]:
    """The root of the smallest of a function's values over restarts, after descents of all of them at once."""
    schedule = optax.cosine_decay_schedule(rate, steps)
    found = minimize(lambda x, _: squares(x).sum(), start, optax.adam(schedule), steps)
    return jnp.sqrt(squares(found.params).min(1))


def _filled(part: np.ndarray, size: int) -> np.ndarray:
    """Made as long as a block by repeating the last, so that one compiled program serves all."""
    return np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
