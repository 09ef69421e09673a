"""Optimisers as typed settings; the update rules are optax's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import optax

from gdl_jax.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    learning_rate: float = 2e-4
    """Step size."""
    b1: float = 0.9
    """Decay of the mean of the gradients."""
    b2: float = 0.999
    """Decay of the mean of their squares."""
    eps: float = 1e-8
    """Added to the root of the mean square."""

    def __post_init__(self):
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"--optimizer.learning-rate is {self.learning_rate}; it has to be above 0.")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--optimizer.{name} is {getattr(self, name)}; it has to be from 0 to below 1.")

    def build(self, interval: int = 1) -> optax.GradientTransformation:
        """The update rule, for a network with a further phase in every `interval`-th step if that is above 1.

        The correction of Karras et al. 2020, appendix B: with c = interval / (interval + 1) the learning rate is
        multiplied by c and both decays are raised to the power c.
        """
        c = 1.0 if interval == 1 else interval / (interval + 1)
        return optax.adam(c * self.learning_rate, self.b1**c, self.b2**c, self.eps)
