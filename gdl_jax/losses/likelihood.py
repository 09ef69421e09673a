"""Negative log-likelihoods and divergences per example, in nats: sums over the axes of the event, shape (batch,).

The mean over the batch is the caller's. A `Likelihood` says how a decoder's outputs are read.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gdl_jax.losses.shapes import check_same_shape
from gdl_jax.steps.devices import split_batch

LEVELS = 256
"""Of a stored pixel; an image in [0, 1] holds k / 255."""
LEAST_LOG_SCALE = -7.0
"""Below it a learned scale has no effect: Salimans et al. 2017 (arXiv:1701.05517), in the authors' code."""


def bernoulli_nll(
    logits: Float[Array, " batch *event"], targets: Float[Array, " batch *event"]
) -> Float[Array, " batch"]:
    """-log p(x) of independent Bernoullis with p = sigmoid(logit): sum of x softplus(-l) + (1 - x) softplus(l).

    Kingma and Welling 2014, appendix C.1, eq. 11. Targets in [0, 1]; for grey ones it is a cross-entropy whose least
    value is not 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(logits=logits, targets=targets)
    return sum_over_event(targets * jax.nn.softplus(-logits) + (1 - targets) * jax.nn.softplus(logits))


def gaussian_nll(
    mean: Float[Array, " batch *event"],
    targets: Float[Array, " batch *event"],
    log_scale: Float[Array, " batch *event"] | Float[Array, ""] | float,
) -> Float[Array, " batch"]:
    """-log N(x; mean, scale^2): sum of ((x - mean) / scale)^2 / 2 + log scale + log(2 pi) / 2.

    Kingma and Welling 2014, appendix C.2.

    Args:
        mean: unbounded.
        targets: unbounded.
        log_scale: logarithm of the standard deviation, one for all or one per element.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(mean=mean, targets=targets)
    if jnp.ndim(log_scale) == 0:
        log_scale = jnp.full_like(mean, log_scale)
    check_same_shape(mean=mean, log_scale=log_scale)
    deviation = (targets - mean) * jnp.exp(-log_scale)
    return sum_over_event(0.5 * jnp.square(deviation) + log_scale + 0.5 * math.log(2 * math.pi))


def weighted_squared_error(
    reconstruction: Float[Array, " batch *event"], targets: Float[Array, " batch *event"], weight: float
) -> Float[Array, " batch"]:
    """A weight times the mean over the event of (x - reconstruction)^2: Foster, chapter 3 (weight 1000 on digits).

    Up to a constant the `gaussian_nll` with the fixed variance n / (2 weight), n the number of elements of the event.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(reconstruction=reconstruction, targets=targets)
    return weight * jnp.square(targets - reconstruction).reshape(len(targets), -1).mean(axis=1)


def discretised_logistic_nll(
    location: Float[Array, " batch *event"],
    targets: Float[Array, " batch *event"],
    log_scale: Float[Array, " batch *event"] | Float[Array, ""] | float,
) -> Float[Array, " batch"]:
    """-log P(x) where a logistic variable is rounded to the nearest of the 256 levels k / 255.

    P(k) = sigmoid((k/255 + h - location) / scale) - sigmoid((k/255 - h - location) / scale) with h = 1/510; the lowest
    level has all the mass below it, the highest all above: Salimans et al. 2017 (arXiv:1701.05517), eq. 2, with one
    component. The probabilities of the levels add up to 1.

    Args:
        location: unbounded.
        targets: k / 255; what lies between is rounded.
        log_scale: logarithm of the logistic's scale, which is its standard deviation times sqrt(3) / pi; one for all
            or one per element.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(location=location, targets=targets)
    if jnp.ndim(log_scale) == 0:
        log_scale = jnp.full_like(location, log_scale)
    check_same_shape(location=location, log_scale=log_scale)
    top, half = LEVELS - 1, 0.5 / (LEVELS - 1)
    level = jnp.round(targets * top)
    centred, slope = level / top - location, jnp.exp(-log_scale)
    above, below = (centred + half) * slope, (centred - half) * slope
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), of which no factor is a difference.
    log_above, log_below = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    within = log_above + log_below + jnp.log(-jnp.expm1(-2 * half * slope))
    return -sum_over_event(jnp.where(level == 0, log_above, jnp.where(level == top, log_below, within)))


def kl_per_dimension(
    mean: Float[Array, "batch latent"], log_variance: Float[Array, "batch latent"]
) -> Float[Array, "batch latent"]:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) = (mean^2 + exp(log_variance) - 1 - log_variance) / 2.

    Kingma and Welling 2014, appendix B.

    Args:
        mean: of the posterior.
        log_variance: logarithm of its variance, the square of the standard deviation.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(mean=mean, log_variance=log_variance)
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


def kl_standard_normal(
    mean: Float[Array, "batch latent"],
    log_variance: Float[Array, "batch latent"],
    *,
    reduce: Literal["sum", "mean"] = "sum",
) -> Float[Array, " batch"]:
    """The `kl_per_dimension` over the latent dimensions.

    Args:
        mean: of the posterior.
        log_variance: logarithm of its variance.
        reduce: "sum" is the divergence, as in the paper and in Foster. "mean" is what Chollet's code (Jiang's lecture)
            and Lanham have: it divides the weight of this term by the number of dimensions.

    Raises:
        ValueError: the shapes differ.
    """
    return getattr(kl_per_dimension(mean, log_variance), reduce)(axis=1)


def free_bits(kl: Float[Array, "batch latent"], least: float) -> Float[Array, " latent"]:
    """The mean over the batch, but at least `least`: below it a dimension costs the same whatever it tells.

    The free bits of Kingma et al. 2016 (arXiv:1606.04934), with one latent dimension per group.

    Args:
        kl: `kl_per_dimension`.
        least: nats per dimension (the name says bits).
    """
    return jnp.maximum(kl.mean(axis=0), least)


def importance_bound(log_weights: Float[Array, "samples batch"]) -> Float[Array, " batch"]:
    """Logarithm of the mean of exp(log_weights) over the samples: Burda et al. 2016 (arXiv:1509.00519), section 3.

    Args:
        log_weights: log p(x, z) - log q(z|x), for samples z of q(z|x).
    """
    return jax.nn.logsumexp(log_weights, axis=0) - math.log(len(log_weights))


def nats_to_bits_per_dimension(nats: Float[Array, "*batch"], dimensions: int) -> Float[Array, "*batch"]:
    """The nats over (dimensions ln 2). Of densities, the result is that of the scale on which the data stand."""
    return nats / (dimensions * math.log(2))


def sum_over_event(x: Float[Array, " batch *event"]) -> Float[Array, " batch"]:
    """Sum over every axis but the first."""
    return x.sum(axis=tuple(range(1, x.ndim)))


class Likelihood(ABC):
    """p(x|z): how the outputs of a decoder are read.

    Attributes:
        outputs_per_channel: channels of the decoder's outputs for each colour of the image.
        bits: name of what `bits_per_dimension` gives, with the convention in it; None where the nats lack a constant.
        level_bits: added to the bits per dimension, so that they speak of 256 levels.
        protocol: what log p(x|z) is the logarithm of.
    """

    outputs_per_channel: int = 1
    bits: str | None = None
    level_bits: float = 0.0
    protocol: str

    @abstractmethod
    def nll(
        self, outputs: Float[Array, " batch *outputs"], targets: Float[Array, " batch *event"]
    ) -> Float[Array, " batch"]:
        """-log p(x|z) in nats."""

    def targets(self, images: Float[Array, " batch *event"], key: Key[Array, ""]) -> Float[Array, " batch *event"]:
        """What p is taken of, from images in [0, 1]: the images."""
        return images

    def mean(self, outputs: Float[Array, " batch *outputs"]) -> Float[Array, " batch *event"]:
        """The image in [0, 1] that is shown for the outputs: their sigmoid."""
        return jax.nn.sigmoid(outputs)

    def bits_per_dimension(self, nats: Float[Array, " batch"], dimensions: int) -> Float[Array, " batch"]:
        """A bound on -log p(x) in nats as bits per pixel and colour, by the convention of `bits`."""
        return nats_to_bits_per_dimension(nats, dimensions) + self.level_bits


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Outputs are logits; see `bernoulli_nll`. With grey pixels it is a cross-entropy and no likelihood of theirs."""

    bits = "bits_per_dimension_of_cross_entropy"
    protocol = "cross-entropy of Bernoullis with the grey pixels in [0, 1], taken for a log-likelihood"

    def nll(self, outputs: Array, targets: Array) -> Float[Array, " batch"]:
        """See `Likelihood`."""
        return bernoulli_nll(outputs, targets)


@dataclass(frozen=True)
class SquaredError(Likelihood):
    """See `weighted_squared_error`, of sigmoid(outputs)."""

    weight: float = 1000.0

    protocol = "density of the pixels in [0, 1] under a Gaussian of fixed variance, up to a constant"

    def nll(self, outputs: Array, targets: Array) -> Float[Array, " batch"]:
        """See `Likelihood`; up to a constant."""
        return weighted_squared_error(jax.nn.sigmoid(outputs), targets, self.weight)


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Mean sigmoid(outputs). Of uniformly dequantised pixels, so that the density bounds a probability.

    By Jensen's inequality -E[log2 p] + 8 is no less than the bits of the level: Theis et al. 2016 (arXiv:1511.01844),
    section 3.1.

    Attributes:
        scale: standard deviation; None: the second half of the outputs is its logarithm.
    """

    scale: float | None = None

    bits = "bits_per_dimension_of_256_levels_dequantised"
    level_bits = math.log2(LEVELS)
    protocol = "density of uniformly dequantised pixels (k + u) / 256, level k, u uniform on [0, 1)"

    @property
    def outputs_per_channel(self) -> int:
        """See `Likelihood`."""
        return 2 if self.scale is None else 1

    def targets(self, images: Array, key: Key[Array, ""]) -> Array:
        """See `dequantise`."""
        return dequantise(images, key)

    def nll(self, outputs: Array, targets: Array) -> Float[Array, " batch"]:
        """See `Likelihood`."""
        outputs, log_scale = split_scale(outputs, self.scale)
        return gaussian_nll(jax.nn.sigmoid(outputs), targets, log_scale)

    def mean(self, outputs: Array) -> Array:
        """See `Likelihood`."""
        return jax.nn.sigmoid(split_scale(outputs, self.scale)[0])


@dataclass(frozen=True)
class DiscretisedLogistic(Likelihood):
    """See `discretised_logistic_nll`; its location is (1 + outputs) / 2.

    Attributes:
        scale: the logistic's; None: the second half of the outputs is its logarithm.
    """

    scale: float | None = None

    bits = "bits_per_dimension_of_256_levels"
    protocol = "probability of the pixels' 256 levels"

    @property
    def outputs_per_channel(self) -> int:
        """See `Likelihood`."""
        return 2 if self.scale is None else 1

    def nll(self, outputs: Array, targets: Array) -> Float[Array, " batch"]:
        """See `Likelihood`."""
        outputs, log_scale = split_scale(outputs, self.scale)
        return discretised_logistic_nll((1 + outputs) / 2, targets, log_scale)

    def mean(self, outputs: Array) -> Array:
        """The location, cut to [0, 1]."""
        return jnp.clip((1 + split_scale(outputs, self.scale)[0]) / 2, 0.0, 1.0)


def split_scale(outputs: Float[Array, "*rest outputs"], scale: float | None) -> tuple[Array, Array]:
    """All outputs and log(scale), or the two halves of the outputs' last axis, of which the second is log-scales."""
    if scale is not None:
        return outputs, jnp.float32(math.log(scale))
    outputs, log_scale = jnp.split(outputs, 2, axis=-1)
    return outputs, jnp.maximum(log_scale, LEAST_LOG_SCALE)


def dequantise(images: Float[Array, " batch *event"], key: Key[Array, ""]) -> Float[Array, " batch *event"]:
    """(k + u) / 256 in [0, 1) from images k / 255, with u uniform on [0, 1): Theis et al. 2016 (arXiv:1511.01844)."""
    return (jnp.round(images * (LEVELS - 1)) + split_batch(jax.random.uniform(key, images.shape))) / LEVELS
