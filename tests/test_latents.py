from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.latents import attribute_vector, lerp, plane, principal_axes, slerp

path = jax.jit(slerp)


@pytest.fixture
def ends():
    a, b = (jax.random.normal(k, (16, 5)) for k in jax.random.split(jax.random.key(0)))
    return a, b


def norm(x):
    return np.linalg.norm(np.asarray(x, np.float64), axis=1)


def test_end_points(ends):
    a, b = ends
    np.testing.assert_allclose(path(a, b, 0.0), a, atol=1e-6)
    np.testing.assert_allclose(path(a, b, 1.0), b, atol=1e-6)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_the_formula_in_float64(ends, t):
    a, b = (np.asarray(x, np.float64) for x in ends)
    w = np.arccos((a * b).sum(1) / norm(a) / norm(b))[:, None]
    wanted = np.sin((1 - t) * w) / np.sin(w) * a + np.sin(t * w) / np.sin(w) * b
    np.testing.assert_allclose(path(*ends, t), wanted, rtol=1e-4, atol=1e-5)


def test_on_a_sphere_it_stays_there_and_turns_evenly(ends):
    a, b = (3 * x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in ends)
    angle = np.arccos(np.asarray((a * b).sum(1)) / 9)
    for t in np.linspace(0, 1, 9):
        found = path(a, b, t)
        np.testing.assert_allclose(norm(found), 3, rtol=1e-5)
        turned = np.arccos(np.clip(np.asarray((a * found).sum(1)) / 9, -1, 1))
        np.testing.assert_allclose(turned, t * angle, atol=2e-3)


def test_half_way_is_the_bisector(ends):
    a, b = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in ends)
    bisector = a + b
    np.testing.assert_allclose(path(a, b, 0.5), bisector / norm(bisector)[:, None].astype(np.float32), atol=1e-5)


def test_orthogonal_vectors_of_different_lengths():
    a, b = jnp.array([[1.0, 0, 0]]), jnp.array([[0, 3.0, 0]])
    np.testing.assert_allclose(path(a, b, 0.5), [[np.sqrt(0.5), 3 * np.sqrt(0.5), 0]], rtol=1e-6)
    np.testing.assert_allclose(path(a, b, 1 / 3), [[np.sqrt(0.75), 1.5, 0]], rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_parallel_vectors_take_the_straight_line(ends, factor):
    a = ends[0]
    for t in (0.0, 0.25, 0.5, 1.0):
        np.testing.assert_allclose(path(a, factor * a, t), (1 + t * (factor - 1)) * a, rtol=1e-5, atol=1e-6)


def test_opposite_vectors_stay_finite_and_reach_their_ends(ends):
    """Every great circle joins them; the line stays on the one that both span."""
    a = ends[0]
    for t in (0.0, 0.25, 0.5, 0.9, 1.0):
        found = np.asarray(path(a, -a, t))
        assert np.isfinite(found).all()
        assert (norm(found) <= 1.01 * norm(a)).all()
        cross = found * norm(a)[:, None] ** 2 - (found * np.asarray(a)).sum(1, keepdims=True) * np.asarray(a)
        assert abs(cross).max() < 1e-2
    np.testing.assert_allclose(path(a, -a, 0.0), a, atol=1e-5)
    np.testing.assert_allclose(path(a, -a, 1.0), -a, atol=1e-5)


def test_the_zero_vector_and_gradients_are_finite(ends):
    a, b = ends
    zero = jnp.zeros_like(a)
    np.testing.assert_allclose(path(zero, b, 0.5), np.sin(np.pi / 4) * b, rtol=1e-5)
    assert (np.asarray(path(zero, zero, 0.3)) == 0).all()
    for t in (0.0, 0.4):
        assert jnp.isfinite(jax.grad(lambda x, t=t: slerp(x, b, t).sum())(a)).all()


def test_the_fraction_may_be_traced(ends):
    many = jax.jit(jax.vmap(slerp, in_axes=(None, None, 0)))(*ends, jnp.linspace(0, 1, 5))
    for found, t in zip(many, np.linspace(0, 1, 5), strict=True):
        np.testing.assert_allclose(found, path(*ends, t), atol=1e-5)


def test_lerp_is_the_straight_line():
    start, end = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 3.0]])
    np.testing.assert_allclose(lerp(start, end, 0.25), [[0.75, 0.75]])
    np.testing.assert_array_equal(lerp(start, end, 0.0), start)
    np.testing.assert_array_equal(lerp(start, end, 1.0), end)


def test_principal_axes_are_the_directions_of_a_known_cloud():
    generator = np.random.default_rng(0)
    turn, _ = np.linalg.qr(generator.normal(size=(5, 5)))
    codes = generator.normal(size=(5000, 5)) * [3, 2, 0.5, 0.1, 0.1] @ turn.T + 7
    axes, share = principal_axes(codes)
    np.testing.assert_allclose(np.abs(axes @ turn[:, :2]), np.eye(2), atol=0.05)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)
    assert share == pytest.approx(13 / 13.27, abs=0.01)
    assert (axes[np.arange(2), np.abs(axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(principal_axes(codes[::-1])[0], axes, atol=1e-9)


def test_plane_has_its_highest_row_first():
    codes = plane(np.array([0.0, 0, 5]), np.eye(2, 3), np.array([-1.0, 0, 1]), np.array([10.0, 20]))
    assert codes.shape == (2, 3, 3)
    np.testing.assert_array_equal(codes[0, :, :2], [[-1, 20], [0, 20], [1, 20]])
    np.testing.assert_array_equal(codes[1, 2], [1, 10, 5])


def test_attribute_vector_is_the_difference_of_the_means():
    codes = np.array([[1.0, 0], [3, 0], [0, 1], [0, 5]])
    has_it = np.array([True, True, False, False])
    np.testing.assert_allclose(attribute_vector(codes, has_it), [2, -3])
    np.testing.assert_allclose(attribute_vector(codes, has_it, normalize=True), np.array([2, -3]) / np.sqrt(13))
    # Adding it to those without leads them, on the mean, to those with it.
    moved = codes[~has_it] + attribute_vector(codes, has_it)
    np.testing.assert_allclose(moved.mean(axis=0), codes[has_it].mean(axis=0))
