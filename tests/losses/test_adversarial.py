from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses.adversarial import minimax, non_saturating

REAL, FAKE = jnp.array([0.3, -1.2, 2.0]), jnp.array([-0.7, 0.1, 1.5])
Mismatch = (ValueError, TypeError)  # jaxtyping's import hook is before the check


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@pytest.mark.parametrize("target", [1.0, 0.9])
@pytest.mark.parametrize("loss", [non_saturating, minimax])
def test_the_discriminator_descends_the_cross_entropy(loss, target):
    d_real, d_fake = sigmoid(REAL), sigmoid(FAKE)
    wanted = -np.mean(target * np.log(d_real) + (1 - target) * np.log(1 - d_real)) - np.mean(np.log(1 - d_fake))
    assert loss(real_target=target).discriminator(REAL, FAKE) == pytest.approx(wanted, rel=1e-6)


def test_the_generators():
    assert non_saturating().generator(REAL, FAKE) == pytest.approx(-np.log(sigmoid(FAKE)).mean(), rel=1e-6)
    assert minimax().generator(REAL, FAKE) == pytest.approx(np.log(1 - sigmoid(FAKE)).mean(), rel=1e-6)


def test_an_undecided_discriminator():
    zeros = jnp.zeros((5,))
    assert non_saturating().discriminator(zeros, zeros) == pytest.approx(2 * np.log(2))
    assert non_saturating().generator(zeros, zeros) == pytest.approx(np.log(2))
    assert minimax().generator(zeros, zeros) == pytest.approx(-np.log(2))


def test_the_best_discriminator_reaches_2_js_minus_2_log_2():
    """Goodfellow et al. 2014, theorem 1 (Valle S16): max V = 2 JS(p, q) - log 4, at logit log p / q."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    m = (p + q) / 2
    js = (p @ np.log(p / m) + q @ np.log(q / m)) / 2
    real = jnp.asarray(np.repeat(np.log(p / q), np.round(10 * p).astype(int)), jnp.float32)
    fake = jnp.asarray(np.repeat(np.log(p / q), np.round(10 * q).astype(int)), jnp.float32)
    assert -non_saturating().discriminator(real, fake) == pytest.approx(2 * js - np.log(4), rel=1e-5)


def test_label_smoothing_is_least_at_the_target():
    slope = jax.grad(lambda r: non_saturating(real_target=0.9).discriminator(r, jnp.zeros((1,))))
    np.testing.assert_allclose(slope(jnp.array([np.log(9.0)], jnp.float32)), 0, atol=1e-6)


@pytest.mark.parametrize("loss", [non_saturating(), non_saturating(real_target=0.9), minimax()])
@pytest.mark.parametrize("logit", [-1e4, -100.0, 100.0, 1e4])
def test_finite_at_extreme_logits(loss, logit):
    logits = jnp.full((3,), logit)
    for player in loss:
        value, slopes = jax.value_and_grad(player, argnums=(0, 1))(logits, logits)
        assert all(jnp.isfinite(x).all() for x in (value, *slopes))


def test_only_the_saturating_generator_stops_where_the_discriminator_is_sure():
    sure = jnp.array([-50.0])
    assert jax.grad(non_saturating().generator, argnums=1)(sure, sure)[0] == pytest.approx(-1)
    assert jax.grad(minimax().generator, argnums=1)(sure, sure)[0] == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("loss", [non_saturating(), minimax()])
def test_patch_logits_and_shapes_that_would_broadcast(loss):
    patches = jnp.ones((2, 3, 3))
    for player in loss:
        assert player(patches, patches).shape == ()
        for shape in ((4, 1), (4, 1, 1, 1), (1,)):
            with pytest.raises(Mismatch):
                player(jnp.zeros((4,)), jnp.zeros(shape))


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1])
@pytest.mark.parametrize("loss", [non_saturating, minimax])
def test_a_target_is_a_probability(loss, target):
    with pytest.raises(ValueError, match="probability"):
        loss(real_target=target)
