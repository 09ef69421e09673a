"""The linear autoregressive model AR(p): Valle, chapter 2."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jaxtyping import Float, Key

from gdl_jax.losses.likelihood import gaussian_nll
from gdl_jax.models.linear import least_squares, with_ones


def lags(series: Float[Array, " time"], order: int) -> Float[Array, "predicted order"]:
    """Row t has Y[t-1], Y[t-2], ... Y[t-p], for t from p on."""
    return jnp.stack([series[order - lag : len(series) - lag] for lag in range(1, order + 1)], axis=1)


@struct.dataclass
class Autoregressive:
    """Y_t = alpha + sum over i = 1..p of beta_i Y_{t-i} + scale eps_t, with eps ~ N(0, 1).

    Attributes:
        intercept: alpha.
        coefficients: beta_1 ... beta_p.
        scale: standard deviation of the noise.
    """

    intercept: Float[Array, ""]
    coefficients: Float[Array, " order"]
    scale: Float[Array, ""]

    @property
    def order(self) -> int:
        """P."""
        return len(self.coefficients)

    @classmethod
    def from_weights(cls, weights: Float[Array, " order_and_one"], series: Float[Array, " time"]) -> Autoregressive:
        """From (beta_1 ... beta_p, alpha), with the noise that fits the series best."""
        order = len(weights) - 1
        errors = series[order:] - with_ones(lags(series, order)) @ weights
        return cls(weights[-1], weights[:-1], jnp.sqrt(jnp.square(errors).mean()))

    @classmethod
    def fit(cls, series: Float[Array, " time"], order: int) -> Autoregressive:
        """Maximum likelihood given the first p values, which is least squares. All steps at once: teacher forcing."""
        weights = least_squares(with_ones(lags(series, order)), series[order:])
        return cls.from_weights(weights, series)

    def predict(self, series: Float[Array, " time"]) -> Float[Array, " predicted"]:
        """The mean of each value given the true ones before it (teacher forcing), from the p-th on."""
        return self.intercept + lags(series, self.order) @ self.coefficients

    def log_prob(self, series: Float[Array, " time"]) -> Float[Array, ""]:
        """Log density of the series given its first p values, in nats."""
        mean = self.predict(series)
        return -gaussian_nll(mean[None], series[None, self.order :], jnp.log(self.scale))[0]

    def rollout(
        self, start: Float[Array, " order"], steps: int, key: Key[Array, ""] | None = None
    ) -> Float[Array, " steps"]:
        """Goes on from p values, feeding its own output back (free running).

        Args:
            start: in the order of time.
            steps: how many values to make.
            key: draws the noise; None for the means.
        """
        noise = jnp.zeros(steps) if key is None else self.scale * jax.random.normal(key, (steps,))

        def step(past: Array, eps: Array) -> tuple[Array, Array]:
            # `past` has the newest value first.
            value = self.intercept + past @ self.coefficients + eps
            return jnp.concatenate([value[None], past[:-1]]), value

        return jax.lax.scan(step, start[::-1], noise)[1]

    def forecast_deviation(self, steps: int) -> Float[Array, " steps"]:
        """Standard deviation of the error of a forecast by 1, 2, ... steps: scale sqrt(sum of psi_j^2, j < steps).

        psi is the response to an impulse, the weights of the moving average that the process is.
        """
        impulse = self.replace(intercept=jnp.zeros(()), scale=jnp.ones(()))
        start = jnp.zeros(self.order).at[-1].set(1.0)
        psi = jnp.concatenate([jnp.ones(1), impulse.rollout(start, steps)[: steps - 1]])
        return self.scale * jnp.sqrt(jnp.cumsum(jnp.square(psi)))


def simulate(model: Autoregressive, key: Key[Array, ""], steps: int, burn_in: int = 500) -> Float[Array, " steps"]:
    """A series of the model that has forgotten its start; the model has to be stationary."""
    return model.rollout(jnp.zeros(model.order), burn_in + steps, key)[burn_in:]
