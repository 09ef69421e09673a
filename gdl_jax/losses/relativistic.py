"""Two-player losses in which the discriminator says how much more real one image is than others.

Jolicoeur-Martineau 2019 (arXiv:1807.00734), with C(x) for logits: r of real data, f of generated data. Where the
discriminator descends h(r - f), the generator descends h(f - r): it is also to make real data look less real, and the
real images' logits have a part in its loss. Means are over the global batch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gdl_jax.losses.adversarial import AdversarialLoss, Elementwise, softplus
from gdl_jax.losses.shapes import check_same_shape


def relativistic() -> AdversarialLoss:
    """RSGAN, eq. 4 and 5: pairs of a real and a generated image, by position.

    Discriminator: mean softplus(-(r - f)) = -mean log sigmoid(r - f).
    Generator: mean softplus(-(f - r)).
    """

    def discriminator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return softplus(fake - real).mean()

    return AdversarialLoss(discriminator, lambda real, fake: discriminator(fake, real))


def relativistic_average(*, real_term: bool = True) -> AdversarialLoss:
    """RaSGAN, section 4.2: each image against the mean of the other kind.

    Discriminator: 1/2 [mean softplus(-(r - mean f)) + mean softplus(f - mean r)].
    Generator: the same with r and f exchanged.

    Args:
        real_term: whether the generator descends the term of the real images too; Lanham's leaves it out, and is
            mean softplus(-(f - mean r)), not halved.
    """
    loss = _average(lambda difference: softplus(-difference), softplus)
    if real_term:
        return loss

    def generator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return softplus(real.mean() - fake).mean()

    return AdversarialLoss(loss.discriminator, generator)


def relativistic_average_least_squares() -> AdversarialLoss:
    """RaLSGAN.

    Discriminator: 1/2 [mean (r - mean f - 1)^2 + mean (f - mean r + 1)^2].
    Generator: the same with r and f exchanged.
    """
    return _average(lambda difference: jnp.square(difference - 1), lambda difference: jnp.square(difference + 1))


def relativistic_average_hinge() -> AdversarialLoss:
    """RaHingeGAN.

    Discriminator: 1/2 [mean max(0, 1 - (r - mean f)) + mean max(0, 1 + (f - mean r))].
    Generator: the same with r and f exchanged.
    """
    return _average(lambda difference: jax.nn.relu(1 - difference), lambda difference: jax.nn.relu(1 + difference))


def _average(above: Elementwise, below: Elementwise) -> AdversarialLoss:
    """What is paid for the difference of an image that is to lie above the others' mean, and of one below.

    Half of the paper's sum (eq. 7 and 8), as in the author's code.
    """

    def discriminator(real: Float[Array, "*logits"], fake: Float[Array, "*logits"]) -> Float[Array, ""]:
        check_same_shape(real=real, fake=fake)
        return 0.5 * (above(real - fake.mean()).mean() + below(fake - real.mean()).mean())

    return AdversarialLoss(discriminator, lambda real, fake: discriminator(fake, real))
