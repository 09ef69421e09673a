"""The check that every loss starts with."""

from __future__ import annotations

from jaxtyping import Array, Shaped


def check_same_shape(**arrays: Shaped[Array, " ..."]) -> None:
    """Raises ValueError, naming the shapes, unless all are equal.

    JAX broadcasts (n, 1) against (n, 1, 1, 1) or (n,) to n x n numbers without a word, and their mean is a wrong loss.

    Example:
        check_same_shape(logits=logits, targets=targets)
    """
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"Shapes must be equal, but they are: {shapes}.")
