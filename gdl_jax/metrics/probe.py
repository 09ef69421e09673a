"""What the layers of a network tell of classes that it was not taught: Radford et al. 2016 (arXiv:1511.06434)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, PyTree

SIDE = 4


def convolution_features(
    network: nn.Module,
    variables: PyTree[Array],
    images: Float[Array, "n height width channels"],
    layers: tuple[type[nn.Module], ...],
) -> Float[Array, "n units"]:
    """What comes out of every convolution, its largest values on a grid of 4x4, side by side; section 5.1.

    Args:
        network: (images, train).
        variables: of it.
        images: in its range.
        layers: the modules that count as convolutions.
    """
    _, seen = network.apply(
        variables,
        images,
        train=False,
        mutable=["intermediates"],
        capture_intermediates=lambda module, method: isinstance(module, layers) and method == "__call__",
    )
    return jnp.concatenate([largest(maps, SIDE).reshape(len(images), -1) for maps in jax.tree.leaves(seen)], axis=1)


def largest(maps: Float[Array, "n height width channels"], side: int) -> Float[Array, "n rows columns channels"]:
    """The largest value in every cell of a grid, of `side` rows and columns or of as many as there are pixels."""

    def cells(x: Array, axis: int) -> Array:
        size = x.shape[axis]
        number = min(side, size)
        bounds = [(i * size // number, -(-(i + 1) * size // number)) for i in range(number)]
        return jnp.stack([jax.lax.slice_in_dim(x, *bound, axis=axis).max(axis) for bound in bounds], axis)

    return cells(cells(maps, 1), 2)


def linear_accuracy(
    train: tuple[Float[np.ndarray, "n units"], Int[np.ndarray, " n"]],
    test: tuple[Float[np.ndarray, "m units"], Int[np.ndarray, " m"]],
    *,
    cost: float,
) -> float:
    """Share of the test examples that a linear support vector machine tells right; one class against the others.

    Args:
        train: features and labels; features are standardised by those of these.
        test: likewise.
        cost: of the squared hinge loss against half the squared weights, C of Cortes and Vapnik 1995.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    machine = make_pipeline(StandardScaler(), LinearSVC(C=cost, dual=len(train[0]) < train[0].shape[1], random_state=0))
    return float(machine.fit(*train).score(*test))
