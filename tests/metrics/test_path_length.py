from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.latents import slerp
from gdl_jax.metrics.decoder import Decoder
from gdl_jax.metrics.path_length import PathSettings, path_length

MATRIX = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32) / 10


def flat(images):
    return images.reshape(len(images), -1)


def decoder_of(function) -> Decoder:
    return Decoder(
        lambda key, num: jax.random.normal(key, (num, 6)),
        lambda scale, latents: function(scale * latents).reshape(-1, 4, 4, 1),
        jnp.float32(1),
    )


LINEAR = decoder_of(lambda z: z @ jnp.asarray(MATRIX))


def test_straight_lines_through_a_linear_generator():
    """Every step is as long as every other: E |A (z - w)|^2 = 2 |A|^2 for z, w ~ N(0, 1)."""
    settings = PathSettings(line="lerp", num=20_000, epsilon=1e-2)
    found = path_length(LINEAR, flat, settings=settings, tails=0)
    assert found.value == pytest.approx(2 * np.square(MATRIX).sum(), abs=4 * found.standard_error)
    assert found.standard_error < 0.02 * found.value
    # Without the largest hundredth it is smaller.
    assert path_length(LINEAR, flat, settings=settings).value < found.value


def test_great_circles_against_their_derivative():
    """Small steps are the derivative of the path, which automatic differentiation gives exactly."""
    curved = decoder_of(lambda z: jnp.tanh(z @ jnp.asarray(MATRIX)))
    found = path_length(curved, flat, settings=PathSettings(num=4000, ends="end"), tails=0)

    def speed(a, b):
        along = lambda t: flat(curved.images(slerp(a[None], b[None], t)))[0]  # noqa: E731
        return jnp.square(jax.jvp(along, (jnp.float32(0),), (jnp.float32(1),))[1]).sum()

    ends = jax.random.normal(jax.random.key(1), (2, 20_000, 6))
    wanted = np.asarray(jax.jit(jax.vmap(speed))(*ends))
    error = np.hypot(found.standard_error, wanted.std() / np.sqrt(len(wanted)))
    assert found.value == pytest.approx(wanted.mean(), abs=4 * error)


def test_steps_are_taken_in_float32():
    """An accelerator's default is less, and the difference of two images that are nearly one would be rounding."""
    seen = []

    def features(images):
        seen.append(jax.config.jax_default_matmul_precision)
        return flat(images)

    path_length(LINEAR, features, settings=PathSettings(num=2))
    assert set(seen) == {"float32"}


def test_mistakes():
    with pytest.raises(UsageError, match=r"--path\.epsilon is 0; it has to be between"):
        PathSettings(epsilon=0)
    with pytest.raises(UsageError, match=r"--path\.num is 1; it has to be 2"):
        PathSettings(num=1)


def test_a_later_state_needs_no_compiling():
    traced = []

    def features(images):
        traced.append(images.shape)
        return flat(images)

    settings = PathSettings(line="lerp", num=256)
    one, two = (
        path_length(dataclasses.replace(LINEAR, state=jnp.float32(scale)), features, settings=settings).value
        for scale in (1, 2)
    )
    assert two == pytest.approx(4 * one, rel=1e-3)
    assert len(traced) == 2  # the two ends of a step
