"""Two-player losses: pairs of functions of logits, each a mean over all of them.

Notation: D = sigmoid(logit), r the logits of real data, f those of generated data. Real and fake logits have equal
shapes: (batch,), or (batch, height, width) of a patch discriminator. Losses that compare real and generated logits with
each other are in `relativistic`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.shapes import check_same_shape

Elementwise = Callable[[Array], Array]

softplus = jax.nn.softplus


class LabelLosses(NamedTuple):
    """What a discriminator pays for one logit, by the label of its image; see `Labels`."""

    real: Elementwise
    fake: Elementwise


class AdversarialLoss(NamedTuple):
    """What each player descends: (real logits, fake logits) -> scalar, since relativistic losses need both."""

    discriminator: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]
    by_label: LabelLosses | None = None
    """The discriminator's loss logit by logit; None where it compares logits."""
    boundary: float | None = None
    """The logit above which an image counts as judged real; None where only differences of logits have a meaning."""


def separable(
    real: Elementwise, fake: Elementwise, generator: Elementwise, boundary: float | None = 0.0
) -> AdversarialLoss:
    """The loss whose discriminator descends mean real(r) + mean fake(f), and whose generator mean generator(f)."""

    def discriminate(r: Float[Array, "*logits"], f: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=r, fake=f)
        return real(r).mean() + fake(f).mean()

    def deceive(r: Float[Array, "*logits"], f: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=r, fake=f)
        return generator(f).mean()

    return AdversarialLoss(discriminate, deceive, LabelLosses(real, fake), boundary)


def non_saturating() -> AdversarialLoss:
    """Goodfellow et al. 2014, section 3: the discriminator descends the cross-entropy, the generator -log D(G(z)).

    Discriminator: mean softplus(-r) + mean softplus(f) = -mean log D(x) - mean log(1 - D(G(z))), eq. 1.
    Generator: mean softplus(-f).
    """
    return separable(_as_real, softplus, _as_real)


def minimax() -> AdversarialLoss:
    """Goodfellow et al. 2014, eq. 1: the generator descends what the discriminator ascends, log(1 - D(G(z))).

    Discriminator: as `non_saturating`.
    Generator: -mean softplus(f), whose slope -D vanishes where the discriminator is sure.
    """
    return separable(_as_real, softplus, lambda f: -softplus(f))


def least_squares(*, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> AdversarialLoss:
    """Mao et al. 2017 (LSGAN), eq. 2; no sigmoid anywhere.

    Discriminator: 1/2 mean (r - b)^2 + 1/2 mean (f - a)^2.
    Generator: 1/2 mean (f - c)^2, the mean over generated data (one text prints the data's).

    The defaults are the paper's eq. 9. With b - c = 1 and b - a = 2, such as a = -1, b = 1, c = 0 (eq. 8), the
    generator descends the Pearson chi^2 divergence between the density of the data plus that of the generator, and
    twice the latter; it is no integral probability metric.

    Args:
        a: what the discriminator is to give generated data.
        b: what it is to give real data.
        c: what the generator wants it to give generated data.
    """
    near = [lambda logits, t=target: 0.5 * jnp.square(logits - t) for target in (b, a, c)]
    return separable(*near, boundary=(a + b) / 2)


def wasserstein() -> AdversarialLoss:
    """Arjovsky et al. 2017, eq. 2: the critic descends mean f - mean r, the generator -mean f.

    The logits are unbounded scores; something else has to keep the critic Lipschitz. With constant K minus the critic's
    loss is at most K times the distance.
    """
    return separable(jnp.negative, lambda f: f, jnp.negative, boundary=None)


def hinge() -> AdversarialLoss:
    """Lim and Ye 2017 (arXiv:1705.02894), algorithm 1; Miyato et al. 2018, eq. 16 and 17.

    Discriminator: mean max(0, 1 - r) + mean max(0, 1 + f).
    Generator: -mean f.
    """
    return separable(lambda r: jax.nn.relu(1 - r), lambda f: jax.nn.relu(1 + f), jnp.negative)


def boundary_seeking() -> AdversarialLoss:
    """Hjelm et al. 2018 (arXiv:1702.08431), eq. 10: the generator wants images at the boundary D = 1/2.

    Discriminator: as `non_saturating`.
    Generator: 1/2 mean (log D - log(1 - D))^2 = 1/2 mean f^2, since log D - log(1 - D) is the logit.

    For images of discrete values see `policy_gradient`.
    """
    return separable(_as_real, softplus, lambda f: 0.5 * jnp.square(f))


def policy_gradient(
    logits: Float[Array, "latents draws"], log_probability: Float[Array, "latents draws"]
) -> Float[Array, ""]:
    """The generator's loss where images are drawn, and no gradient goes through a draw: Hjelm et al. 2018, algorithm 1.

    -mean over z of sum over m of w_m log g(x_m | z), with images x_1 ... x_M drawn from g(. | z) and their normalised
    importance weights w = softmax over m of the logits (eq. 7 and 8), which have no gradient. (The text that calls the
    loss of `boundary_seeking` a policy gradient means this one.)

    Args:
        logits: of the discriminator, for M images of each latent vector.
        log_probability: log g(x_m | z) of each of them, summed over pixels.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(logits=logits, log_probability=log_probability)
    weights = jax.lax.stop_gradient(jax.nn.softmax(logits, axis=1))
    return -(weights * log_probability).sum(axis=1).mean()


def three_sources(
    target: Float[Array, "*targets"],
    other: Float[Array, "*others"],
    fake: Float[Array, "*fakes"],
    *,
    fake_weight: float = 0.5,
) -> Float[Array, ""]:
    """A critic's loss where real data that are not wanted count as wrong too, for scarce data.

    a mean fake + (1 - a) mean other - mean target, the generator's as in `wasserstein`: Cai, Doshi, Valle 2018
    (arXiv:1801.02384), eq. 6, where the target is one speaker and the others are all other speakers.

    Args:
        target: logits of the real data that the generator is to make.
        other: logits of other real data.
        fake: logits of generated data.
        fake_weight: a, from 0 to 1.
    """
    return fake_weight * fake.mean() + (1 - fake_weight) * other.mean() - target.mean()


def _as_real(logits: Array) -> Array:
    return softplus(-logits)
