"""Optimisers as typed settings; the update rules are optax's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import jax
import optax
from jaxtyping import PyTree

from gdl_jax.errors import UsageError

DECAYED = ("kernel", "embedding")
"""The parameters that weight decay is of; to shrink biases, or the scales of norms, is no regularisation."""


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Gradient descent of several kinds, with weight decay and a learning rate that may rise and fall."""

    rule: Literal["adam", "sgd", "rmsprop", "optimistic_adam"] = "adam"
    """Adam (Kingma and Ba 2015), stochastic gradient descent with momentum, RMSprop (Tieleman and Hinton 2012) with the
    decay b2 and no momentum, or Adam that steps twice forward and once back (Daskalakis et al. 2018)."""
    learning_rate: float = 1e-3
    """Step size; the highest where it changes."""
    b1: float = 0.9
    """Decay of the mean of the gradients. SGD's momentum: of their sum, which is 1 / (1 - b1) times the mean."""
    b2: float = 0.999
    """Decay of the mean of their squares (not SGD)."""
    eps: float = 1e-8
    """Added to the root of the mean square (not SGD)."""
    weight_decay: float = 0.0
    """Kernels and embeddings shrink by the learning rate times this in each step (Loshchilov and Hutter 2019)."""
    decoupled: bool = True
    """Weight decay beside the rule; else it is added to the gradient, as half the squared kernels in the loss would."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises from 0, in a straight line."""
    cosine_steps: int = 0
    """Step at which the learning rate has fallen to 0 along half a cosine, --steps as a rule; 0 for a constant one."""
    linear_steps: int = 0
    """Likewise, in a straight line."""
    drop_steps: tuple[int, ...] = ()
    """Steps at which it is divided by ten."""

    def __post_init__(self):
        # The command line knows whose settings these are, and puts that before their names.
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"--learning-rate is {self.learning_rate}; it has to be above 0.")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name} is {getattr(self, name)}; it has to be from 0 to below 1.")
        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"--weight-decay is {self.weight_decay}; it has to be 0 or more.")
        if self.warmup_steps < 0:
            raise UsageError(f"--warmup-steps is {self.warmup_steps}; it has to be 0 or more.")
        for name in ("cosine", "linear"):
            steps = getattr(self, f"{name}_steps")
            if steps and steps <= self.warmup_steps:
                raise UsageError(
                    f"--{name}-steps is {steps}; it has to be 0, or above the {self.warmup_steps} of --warmup-steps."
                )
        chosen = [name for name in ("cosine", "linear", "drop") if getattr(self, f"{name}_steps")]
        if len(chosen) > 1:
            first, second = (f"--{name}-steps" for name in chosen[:2])
            raise UsageError(f"{first} and {second} exclude each other.")
        steps = (self.warmup_steps, *self.drop_steps)
        if any(a >= b for a, b in pairwise(steps)):
            given = " ".join(map(str, self.drop_steps))
            raise UsageError(
                f"--drop-steps is {given}; the steps have to ascend, from above the {self.warmup_steps} of "
                "--warmup-steps."
            )

    def build(self, interval: int = 1) -> optax.GradientTransformation:
        """The update rule. Its schedule is of the steps told here, so that a run may be continued for more.

        Args:
            interval: above 1 for a network with a further phase in every `interval`-th step, by the correction of
                Karras et al. 2020, appendix B: with c = interval / (interval + 1) the learning rate is multiplied by c
                and both decays are raised to the power c.
        """
        if interval > 1:
            c = interval / (interval + 1)
            corrected = {"learning_rate": c * self.learning_rate, "b1": self.b1**c, "b2": self.b2**c}
            return replace(self, **corrected).build()
        adam = optax.scale_by_adam(self.b1, self.b2, self.eps)
        rule = {
            "adam": lambda: adam,
            "sgd": lambda: optax.trace(self.b1),
            "rmsprop": lambda: optax.scale_by_rms(self.b2, self.eps, eps_in_sqrt=False),
            "optimistic_adam": lambda: optax.chain(adam, optax.scale_by_optimistic_gradient()),
        }[self.rule]()
        decay = optax.add_decayed_weights(self.weight_decay, mask=_decayed)
        parts = (rule, decay) if self.decoupled else (decay, rule)
        return optax.chain(*parts, optax.scale_by_learning_rate(self.schedule()))

    def schedule(self) -> optax.Schedule:
        """The learning rate of each step."""
        highest, rise = self.learning_rate, self.warmup_steps
        schedule = optax.constant_schedule(highest)
        if self.cosine_steps:
            schedule = optax.cosine_decay_schedule(highest, self.cosine_steps - rise)
        if self.linear_steps:
            schedule = optax.linear_schedule(highest, 0.0, self.linear_steps - rise)
        if self.drop_steps:
            schedule = optax.piecewise_constant_schedule(highest, {step - rise: 0.1 for step in self.drop_steps})
        return optax.join_schedules([optax.linear_schedule(0.0, highest, rise), schedule], [rise]) if rise else schedule


def _decayed(params: PyTree) -> PyTree:
    """Of each parameter, whether weight decay is of it."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path[-1:], simple=True) in DECAYED, params
    )
