"""Initial parameters, named after where they come from.

Flax's own default (LeCun normal) is that of none of the texts, so that every layer is given its initializer by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax.linen import initializers
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Initializer = Callable[..., Array]
"""(key, shape, dtype) -> array."""

normal002: Initializer = initializers.normal(0.02)
"""N(0, 0.02), not truncated: Radford et al. 2016 (DCGAN), section 4."""

glorot_uniform: Initializer = initializers.glorot_uniform()
"""U(-b, b) with b = sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, eq. 16; Keras' default."""

torch_uniform: Initializer = initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""U(-b, b) with b = 1 / sqrt(fan_in): PyTorch's default for Linear and convolutions.

PyTorch takes out_channels k k for the fan_in of a transposed convolution; so does this on the
(k, k, out, in) of `ConvTranspose`. Its biases PyTorch draws from the same interval; here they begin at 0.
"""

torch_uniform_fan_out: Initializer = initializers.variance_scaling(1 / 3, "fan_out", "uniform")
"""U(-b, b) with b = 1 / sqrt(fan_out): `torch_uniform` for a transposed convolution from 1x1 written as a Dense."""


def scale002(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Float[Array, " ..."]:
    """N(1, 0.02), the scale of DCGAN's batch norms in the authors' code."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)
