"""Two-player losses against their definitions in NumPy, float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.adversarial import (
    boundary_seeking,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    policy_gradient,
    three_sources,
    wasserstein,
)
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.relativistic import (
    relativistic,
    relativistic_average,
    relativistic_average_hinge,
    relativistic_average_least_squares,
)

REAL, FAKE = jnp.array([0.3, -1.2, 2.0]), jnp.array([-0.7, 0.1, 1.5])
Mismatch = (ValueError, TypeError)  # jaxtyping's import hook is before the check

mean, square, log = np.mean, np.square, np.log


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def entropy(r, f):
    return -mean(log(sigmoid(r))) - mean(log(1 - sigmoid(f)))


def pull(r, f):
    return -mean(log(sigmoid(f)))


def paired(r, f):
    return -mean(log(sigmoid(r - f)))


def average(r, f):
    return -0.5 * (mean(log(sigmoid(r - mean(f)))) + mean(log(1 - sigmoid(f - mean(r)))))


def average_squares(r, f):
    return 0.5 * (mean(square(r - mean(f) - 1)) + mean(square(f - mean(r) + 1)))


def average_hinge(r, f):
    return 0.5 * (mean(relu(1 - (r - mean(f)))) + mean(relu(1 + f - mean(r))))


def exchanged(loss):
    return lambda r, f: loss(f, r)


# The loss, and what discriminator and generator descend, with D = sigmoid(logit).
LOSSES = {
    "non_saturating": (non_saturating(), entropy, pull),
    "minimax": (minimax(), entropy, lambda r, f: mean(log(1 - sigmoid(f)))),
    "least_squares": (
        least_squares(),
        lambda r, f: mean(square(r - 1)) / 2 + mean(square(f)) / 2,
        lambda r, f: mean(square(f - 1)) / 2,
    ),
    "least_squares, Pearson's": (
        least_squares(a=-1, b=1, c=0),
        lambda r, f: mean(square(r - 1)) / 2 + mean(square(f + 1)) / 2,
        lambda r, f: mean(square(f)) / 2,
    ),
    "wasserstein": (wasserstein(), lambda r, f: mean(f) - mean(r), lambda r, f: -mean(f)),
    "hinge": (hinge(), lambda r, f: mean(relu(1 - r)) + mean(relu(1 + f)), lambda r, f: -mean(f)),
    "boundary_seeking": (
        boundary_seeking(),
        entropy,
        lambda r, f: 0.5 * mean(square(log(sigmoid(f)) - log(1 - sigmoid(f)))),
    ),
    "relativistic": (relativistic(), paired, exchanged(paired)),
    "relativistic_average": (relativistic_average(), average, exchanged(average)),
    "relativistic_average, Lanham's": (
        relativistic_average(real_term=False),
        average,
        lambda r, f: -mean(log(sigmoid(f - mean(r)))),
    ),
    "relativistic_average_least_squares": (
        relativistic_average_least_squares(),
        average_squares,
        exchanged(average_squares),
    ),
    "relativistic_average_hinge": (relativistic_average_hinge(), average_hinge, exchanged(average_hinge)),
}


@pytest.fixture(params=LOSSES)
def case(request):
    return LOSSES[request.param]


def test_values_and_slopes(case):
    loss, *wanted = case
    r, f = (np.asarray(x, np.float64) for x in (REAL, FAKE))
    step = 1e-6
    for player, define in zip(loss[:2], wanted, strict=True):
        value, slopes = jax.value_and_grad(player, argnums=(0, 1))(REAL, FAKE)
        assert value == pytest.approx(define(r, f), rel=1e-6)
        for i, e in enumerate(step * np.eye(3)):
            by_real = (define(r + e, f) - define(r - e, f)) / (2 * step)
            by_fake = (define(r, f + e) - define(r, f - e)) / (2 * step)
            assert (slopes[0][i], slopes[1][i]) == pytest.approx((by_real, by_fake), rel=1e-4, abs=1e-6)


def test_finite_at_extreme_logits_patches_and_shapes_that_would_broadcast(case):
    loss = case[0]
    for player in loss[:2]:
        for r, f in ((1e4, -1e4), (-1e4, 1e4), (100.0, 100.0)):
            value, slopes = jax.value_and_grad(player, argnums=(0, 1))(jnp.full((3,), r), jnp.full((3,), f))
            assert all(jnp.isfinite(x).all() for x in (value, *slopes))
        patches = jnp.ones((2, 3, 3))
        assert player(patches, patches).shape == ()
        for shape in ((4, 1), (4, 1, 1, 1), (1,)):
            with pytest.raises(Mismatch):
                player(jnp.zeros((4,)), jnp.zeros(shape))


def test_an_undecided_discriminator():
    zeros = jnp.zeros((5,))
    assert non_saturating().discriminator(zeros, zeros) == pytest.approx(2 * np.log(2))
    assert non_saturating().generator(zeros, zeros) == pytest.approx(np.log(2))
    assert minimax().generator(zeros, zeros) == pytest.approx(-np.log(2))
    half = jnp.full((5,), 0.5)
    # 0.25 in a text that halves the discriminator's loss twice, and the generator's not at all.
    assert least_squares().discriminator(half, half) == least_squares().generator(half, half) * 2 == 0.25


def test_the_best_discriminator_reaches_2_js_minus_2_log_2():
    """Goodfellow et al. 2014, theorem 1 (Valle S16): max V = 2 JS(p, q) - log 4, at logit log p / q."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    m = (p + q) / 2
    js = (p @ np.log(p / m) + q @ np.log(q / m)) / 2
    real = jnp.asarray(np.repeat(np.log(p / q), np.round(10 * p).astype(int)), jnp.float32)
    fake = jnp.asarray(np.repeat(np.log(p / q), np.round(10 * q).astype(int)), jnp.float32)
    assert -non_saturating().discriminator(real, fake) == pytest.approx(2 * js - np.log(4), rel=1e-5)


def test_only_the_saturating_generator_stops_where_the_discriminator_is_sure():
    sure = jnp.array([-50.0])
    assert jax.grad(non_saturating().generator, argnums=1)(sure, sure)[0] == pytest.approx(-1)
    assert jax.grad(minimax().generator, argnums=1)(sure, sure)[0] == pytest.approx(0, abs=1e-20)


def test_policy_gradient_against_numpy():
    logits, log_g = (np.random.default_rng(i).normal(size=(4, 5)) for i in range(2))
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    arrays = jnp.asarray(logits, jnp.float32), jnp.asarray(log_g, jnp.float32)
    value, (by_logits, by_log_g) = jax.value_and_grad(policy_gradient, argnums=(0, 1))(*arrays)
    assert value == pytest.approx(-(weights * log_g).sum(1).mean(), rel=1e-5)
    np.testing.assert_array_equal(by_logits, 0)
    np.testing.assert_allclose(by_log_g, -weights / 4, rtol=1e-5)


def test_the_policy_gradient_leads_to_the_target():
    """E of w_m d log g(x_m) is, for many draws, the slope of the KL divergence from g weighted by exp(logit)."""
    theta, draws = 0.3, 400_000
    p = sigmoid(theta)
    x = (np.random.default_rng(0).random((1, draws)) < p).astype(np.float32)
    # The discriminator that is optimal for a coin of 0.8.
    logits = jnp.asarray(np.where(x == 1, np.log(0.8 / p), np.log(0.2 / (1 - p))), jnp.float32)

    def loss(theta):
        return policy_gradient(logits, x * jax.nn.log_sigmoid(theta) + (1 - x) * jax.nn.log_sigmoid(-theta))

    assert jax.grad(loss)(jnp.float32(theta)) == pytest.approx(-(0.8 - p), abs=5e-3)


def test_three_sources_weigh_what_is_wrong():
    target, other, fake = REAL, jnp.array([1.0, 3.0]), FAKE[:1]
    assert three_sources(target, other, fake) == pytest.approx(0.5 * -0.7 + 0.5 * 2 - float(REAL.mean()))
    assert three_sources(target, other, fake, fake_weight=1.0) == pytest.approx(-0.7 - float(REAL.mean()))


# Labels

KEY, STEP = jax.random.key(0), jnp.int32(0)


@pytest.mark.parametrize("name", [name for name, case in LOSSES.items() if case[0].by_label])
def test_plain_labels_change_nothing_and_exchanged_ones_exchange(name):
    loss = LOSSES[name][0]
    plain = Labels().discriminator_loss(loss, REAL, FAKE, KEY, STEP)
    assert plain == pytest.approx(float(loss.discriminator(REAL, FAKE)), rel=1e-6)
    flipped = Labels(flip=1.0).discriminator_loss(loss, REAL, FAKE, KEY, STEP)
    assert flipped == pytest.approx(float(loss.discriminator(FAKE, REAL)), rel=1e-6)


def test_smoothing_is_the_cross_entropy_of_the_target_and_least_there():
    labels = Labels(real=(0.9, 0.9))
    r, f = (np.asarray(x, np.float64) for x in (REAL, FAKE))
    wanted = -mean(0.9 * log(sigmoid(r)) + 0.1 * log(1 - sigmoid(r))) - mean(log(1 - sigmoid(f)))
    assert labels.discriminator_loss(non_saturating(), REAL, FAKE, KEY, STEP) == pytest.approx(wanted, rel=1e-6)
    slope = jax.grad(lambda r: labels.discriminator_loss(non_saturating(), r, jnp.zeros(1), KEY, STEP))
    np.testing.assert_allclose(slope(jnp.array([np.log(9.0)], jnp.float32)), 0, atol=1e-6)
    slope = jax.grad(lambda r: labels.discriminator_loss(least_squares(), r, jnp.zeros(1), KEY, STEP))
    np.testing.assert_allclose(slope(jnp.array([0.9])), 0, atol=1e-6)


def test_labels_are_drawn_between_their_bounds_and_flipped_as_often_as_said():
    # Wasserstein's loss of the logits 1 and 0 shows the mean of the labels of real images: 1 - 2 t.
    ones, zeros = jnp.ones(20_000), jnp.zeros(20_000)

    def mean_label(labels, step=0, key=KEY):
        return (1 - labels.discriminator_loss(wasserstein(), ones, zeros, key, jnp.int32(step))) / 2

    assert mean_label(Labels(real=(0.7, 1.2))) == pytest.approx(0.95, abs=5e-3)
    assert mean_label(Labels(flip=0.05)) == pytest.approx(0.95, abs=5e-3)
    assert mean_label(Labels(flip=0.05)) != mean_label(Labels(flip=0.05), key=jax.random.key(1))
    fading = Labels(real=(0.8, 0.8), flip=0.5, strength=lambda step: 1 - step / 10)
    assert mean_label(fading) == pytest.approx(0.5, abs=1e-2)
    assert mean_label(fading, 5) == pytest.approx(0.25 * 0.1 + 0.75 * 0.9, abs=1e-2)
    assert mean_label(fading, 10) == pytest.approx(1)


def test_relativistic_losses_have_no_labels():
    with pytest.raises(ValueError, match="no labels"):
        Labels(flip=0.1).discriminator_loss(relativistic(), REAL, FAKE, KEY, STEP)
