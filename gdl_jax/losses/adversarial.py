"""Two-player losses: pairs of functions of logits, each a mean over all of them.

Notation: D = sigmoid(logit), r the logits of real data, f those of generated data. Real and fake logits have equal
shapes: (batch,), or (batch, height, width) of a patch discriminator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from gdl_jax.losses.shapes import check_same_shape

softplus = jax.nn.softplus


class AdversarialLoss(NamedTuple):
    """What each player descends: (real logits, fake logits) -> scalar, since relativistic losses need both."""

    discriminator: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]


def non_saturating(*, real_target: float = 1.0) -> AdversarialLoss:
    """Goodfellow et al. 2014, section 3: the discriminator descends the cross-entropy, the generator -log D(G(z)).

    Discriminator: mean softplus(-r) + mean softplus(f) = -mean log D(x) - mean log(1 - D(G(z))), eq. 1.
    Generator: mean softplus(-f).

    Args:
        real_target: the probability that the discriminator is to give real data, in (0, 1]. Below 1 it is one-sided
            label smoothing (Salimans et al. 2016, section 3.4): mean [t softplus(-r) + (1 - t) softplus(r)]; the target
            of generated data stays 0.

    Raises:
        ValueError: real_target is outside (0, 1].
    """
    check_target(real_target)

    def generator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return softplus(-fake).mean()

    return AdversarialLoss(cross_entropy(real_target), generator)


def minimax(*, real_target: float = 1.0) -> AdversarialLoss:
    """Goodfellow et al. 2014, eq. 1: the generator descends what the discriminator ascends, log(1 - D(G(z))).

    Discriminator: as `non_saturating`.
    Generator: -mean softplus(f), whose slope -D vanishes where the discriminator is sure.

    Args:
        real_target: as in `non_saturating`.

    Raises:
        ValueError: real_target is outside (0, 1].
    """
    check_target(real_target)

    def generator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return -softplus(fake).mean()

    return AdversarialLoss(cross_entropy(real_target), generator)


def wasserstein() -> AdversarialLoss:
    """Arjovsky et al. 2017, eq. 2: the critic descends mean f - mean r, the generator -mean f.

    The logits are unbounded scores; something else has to keep the critic Lipschitz.
    """

    def critic(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return fake.mean() - real.mean()

    def generator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return -fake.mean()

    return AdversarialLoss(critic, generator)


def cross_entropy(real_target: float) -> Callable[[Array, Array], Array]:
    """The discriminator's loss of `non_saturating` and `minimax`."""

    def discriminator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        on_real = real_target * softplus(-real) + (1 - real_target) * softplus(real)
        return on_real.mean() + softplus(fake).mean()

    return discriminator


def check_target(real_target: float) -> None:
    """Raises ValueError unless the target is a probability above 0."""
    if not 0 < real_target <= 1:
        raise ValueError(f"real_target is a probability in (0, 1], not {real_target}.")
