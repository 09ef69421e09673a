"""Paths between latent vectors, planes through them, and directions that change an attribute."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float


def slerp(
    start: Float[Array, "num latent"], end: Float[Array, "num latent"], fraction: Float[Array, ""] | float
) -> Float[Array, "num latent"]:
    """Spherical interpolation (Shoemake 1985): the path keeps the norms that a Gaussian prior gives its vectors.

    sin((1 - t) w) / sin(w) * start + sin(t w) / sin(w) * end, with w the angle between them; where they are parallel,
    the straight line.
    """
    norms = jnp.linalg.norm(start, axis=1) * jnp.linalg.norm(end, axis=1)
    cosine = jnp.clip((start * end).sum(1) / jnp.maximum(norms, 1e-12), -1, 1)[:, None]
    angle = jnp.arccos(cosine)
    sine = jnp.sin(angle)
    straight = sine < 1e-4
    divisor = jnp.where(straight, 1.0, sine)
    first = jnp.where(straight, 1 - fraction, jnp.sin((1 - fraction) * angle) / divisor)
    second = jnp.where(straight, fraction, jnp.sin(fraction * angle) / divisor)
    return first * start + second * end


def lerp(
    start: Float[Array, "num latent"], end: Float[Array, "num latent"], fraction: Float[Array, ""] | float
) -> Float[Array, "num latent"]:
    """The straight line, (1 - t) * start + t * end. Between two draws from N(0, 1) its middle is too near to 0."""
    return (1 - fraction) * start + fraction * end


def principal_axes(codes: Float[np.ndarray, "n latent"]) -> tuple[Float[np.ndarray, "2 latent"], float]:
    """The two directions of unit length in which the codes vary most, and their share of the variance.

    Each points to where its largest component is positive, so that a plot does not flip from time to time.
    """
    centred = codes - codes.mean(axis=0)
    _, deviations, directions = np.linalg.svd(centred, full_matrices=False)
    axes = directions[:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    variances = deviations**2
    return axes, float(variances[:2].sum() / max(variances.sum(), 1e-12))


def plane(
    centre: Float[np.ndarray, " latent"],
    axes: Float[np.ndarray, "2 latent"],
    x: Float[np.ndarray, " columns"],
    y: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows columns latent"]:
    """The codes centre + x * axes[0] + y * axes[1]; x grows to the right, y upwards: the first row has the last y."""
    return centre + x[None, :, None] * axes[0] + y[::-1, None, None] * axes[1]


def attribute_vector(
    codes: Float[np.ndarray, "n latent"], has_it: Bool[np.ndarray, " n"], *, normalize: bool = False
) -> Float[np.ndarray, " latent"]:
    """Mean of the codes with an attribute minus mean of those without (Larsen et al. 2016, section 4.2).

    Args:
        codes: of any images.
        has_it: which of them have the attribute; some have to, and some not.
        normalize: scaled to length 1.
    """
    vector = codes[has_it].mean(axis=0) - codes[~has_it].mean(axis=0)
    return vector / max(float(np.linalg.norm(vector)), 1e-12) if normalize else vector
