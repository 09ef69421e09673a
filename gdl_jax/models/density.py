"""Densities whose maximum likelihood has a closed form: a box, a table of all combinations, naive Bayes, Gaussians.

Each is a pytree of its parameters with `fit`, `log_prob` (in nats) and `sample`, the latter two compiled whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float, Int, Key


@struct.dataclass
class Box:
    """The uniform density of an axis-parallel box, 1 / volume inside and 0 outside: Foster, chapter 1.

    A density may be above 1: it is its integral that is 1.

    Attributes:
        low: the corner with the smallest coordinates.
        high: the corner with the largest.
    """

    low: Float[Array, " axes"]
    high: Float[Array, " axes"]

    @classmethod
    def fit(cls, points: Float[Array, "n axes"]) -> Box:
        """Maximum likelihood: the smallest box that holds all points. No gradient leads there: it is 0 everywhere."""
        return cls(points.min(axis=0), points.max(axis=0))

    @jax.jit
    def log_prob(self, points: Float[Array, "n axes"]) -> Float[Array, " n"]:
        """-log volume inside, -infinity outside."""
        inside = ((points >= self.low[None]) & (points <= self.high[None])).all(axis=1)
        return jnp.where(inside, -jnp.log(self.high - self.low).sum(), -jnp.inf)

    @partial(jax.jit, static_argnames="num")
    def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "num axes"]:
        """Draws points."""
        return self.low[None] + (self.high - self.low)[None] * jax.random.uniform(key, (num, len(self.low)))


@struct.dataclass
class NaiveBayes:
    """Independent categorical variables, p(x) = prod_k theta_k[x_k]: Foster, chapter 1, equations 1-1 to 1-4.

    Attributes:
        log_probs: log theta; -infinity for values that a variable does not have or that never occurred.
    """

    log_probs: Float[Array, "variables values"]

    @classmethod
    def fit(
        cls, rows: Int[np.ndarray, "n variables"], sizes: Sequence[int], *, pseudo_count: float = 0.0
    ) -> NaiveBayes:
        """theta_k[l] = (n_k[l] + a) / (n + a L_k).

        With a = 0 it is the maximum of the likelihood; with a > 0 the mean of the posterior under a Dirichlet(a) prior
        (additive smoothing, Laplace's for a = 1).

        Args:
            rows: of variable k from 0 to sizes[k] - 1.
            sizes: L_k, how many values each variable has.
            pseudo_count: a.

        Raises:
            ValueError: a value outside its range.
        """
        if (rows < 0).any() or (rows >= np.asarray(sizes)).any():
            raise ValueError(f"Rows have values outside those of their variables, 0 to {list(sizes)} (exclusive).")
        most = max(sizes)
        # NumPy counts whole numbers exactly and, on CPU, far faster than a scatter.
        cells = rows.astype(np.int64) + most * np.arange(len(sizes))
        counts = np.bincount(cells.ravel(), minlength=len(sizes) * most).reshape(len(sizes), most)
        allowed = np.arange(most) < np.asarray(sizes)[:, None]
        smoothed = np.where(allowed, counts + pseudo_count, 0.0)
        with np.errstate(divide="ignore"):
            return cls(jnp.asarray(np.log(smoothed / smoothed.sum(axis=1, keepdims=True)), jnp.float32))

    @jax.jit
    def log_prob(self, rows: Int[Array, "n variables"]) -> Float[Array, " n"]:
        """In nats."""
        return self.log_probs[jnp.arange(len(self.log_probs))[None], rows].sum(axis=1)

    @partial(jax.jit, static_argnames="num")
    def sample(self, key: Key[Array, ""], num: int) -> Int[Array, "num variables"]:
        """Draws each variable on its own."""
        cumulative = jnp.cumsum(jnp.exp(self.log_probs), axis=1)
        # So that the last one is exactly 1, above every draw; a value of probability 0 is then never drawn.
        cumulative /= cumulative[:, -1:]
        uniform = jax.random.uniform(key, (len(self.log_probs), num))
        return jax.vmap(partial(jnp.searchsorted, side="right"))(cumulative, uniform).T


@struct.dataclass
class FullJoint:
    """One probability for every combination of categorical variables: Foster, chapter 1.

    Attributes:
        table: the distribution of the combination's number.
        sizes: how many values each variable has.
    """

    table: NaiveBayes
    sizes: tuple[int, ...] = struct.field(pytree_node=False)

    @classmethod
    def fit(cls, rows: Int[np.ndarray, "n variables"], sizes: Sequence[int], *, pseudo_count: float = 0.0) -> FullJoint:
        """theta_j = (n_j + a) / (n + a J) with J the number of combinations (not J - 1: then they would not sum to 1).

        Args:
            rows: of variable k from 0 to sizes[k] - 1.
            sizes: how many values each variable has.
            pseudo_count: a; see `NaiveBayes.fit`.
        """
        numbers = np.ravel_multi_index(tuple(rows.T), tuple(sizes))
        return cls(NaiveBayes.fit(numbers[:, None], [np.prod(sizes)], pseudo_count=pseudo_count), tuple(sizes))

    @jax.jit
    def log_prob(self, rows: Int[Array, "n variables"]) -> Float[Array, " n"]:
        """In nats."""
        numbers = jnp.ravel_multi_index(tuple(rows.T), self.sizes, mode="clip")
        return self.table.log_prob(numbers[:, None])

    @partial(jax.jit, static_argnames="num")
    def sample(self, key: Key[Array, ""], num: int) -> Int[Array, "num variables"]:
        """Draws combinations."""
        return jnp.stack(jnp.unravel_index(self.table.sample(key, num)[:, 0], self.sizes), axis=1)


@struct.dataclass
class GaussianClasses:
    """A generative classifier: p(x, y) = p(y) N(x; mean_y, covariance_y). Valle, chapter 2.

    Attributes:
        log_priors: log p(y).
        means: of each class.
        covariances: likewise.
    """

    log_priors: Float[Array, " classes"]
    means: Float[Array, "classes axes"]
    covariances: Float[Array, "classes axes axes"]

    @classmethod
    def fit(cls, points: Float[Array, "n axes"], labels: Int[Array, " n"], classes: int) -> GaussianClasses:
        """Maximum likelihood: share, mean and covariance (divided by the number of points) of each class.

        A class needs more points than there are axes. Points with a label of no class, such as -1, are left out.
        """
        member = jax.nn.one_hot(labels, classes, axis=0, dtype=points.dtype)
        counts = member.sum(axis=1)
        means = member @ points / counts[:, None]
        deviations = points[None] - means[:, None]
        covariances = jnp.einsum("kn,kni,knj->kij", member, deviations, deviations) / counts[:, None, None]
        return cls(jnp.log(counts / counts.sum()), means, covariances)

    @jax.jit
    def log_joint(self, points: Float[Array, "n axes"]) -> Float[Array, "n classes"]:
        """Log p(x, y) for every class, in nats."""

        def density(mean: Array, covariance: Array) -> Array:
            factor = jnp.linalg.cholesky(covariance)
            whitened = solve_triangular(factor, (points - mean[None]).T, lower=True)
            # The Gaussian of the whitened points, with the volume that whitening changed.
            return -0.5 * jnp.square(whitened).sum(axis=0) - jnp.log(jnp.sqrt(2 * jnp.pi) * jnp.diag(factor)).sum()

        return jax.vmap(density, out_axes=1)(self.means, self.covariances) + self.log_priors[None]

    @jax.jit
    def log_prob(self, points: Float[Array, "n axes"]) -> Float[Array, " n"]:
        """Log p(x), in nats."""
        return jax.nn.logsumexp(self.log_joint(points), axis=1)

    @jax.jit
    def posterior(self, points: Float[Array, "n axes"]) -> Float[Array, "n classes"]:
        """p(y|x) = p(x, y) / p(x)."""
        return jax.nn.softmax(self.log_joint(points), axis=1)

    @jax.jit
    def sample(self, key: Key[Array, ""], labels: Int[Array, " n"]) -> Float[Array, "n axes"]:
        """Draws one point of p(x|y) for each label."""
        factors = jnp.linalg.cholesky(self.covariances)
        noise = jax.random.normal(key, (len(labels), self.means.shape[1]))
        return self.means[labels] + jnp.einsum("nij,nj->ni", factors[labels], noise)
