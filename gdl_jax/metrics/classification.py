"""How well classes are told apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Confusion = Int[np.ndarray, "classes classes"]


def confusion_matrix(labels: Int[np.ndarray, " num"], predictions: Int[np.ndarray, " num"], classes: int) -> Confusion:
    """How many examples of the class of each row were taken for the class of each column.

    Raises:
        ValueError: not one prediction per label, or a class that there is not.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"There are {labels.shape} labels and {predictions.shape} predictions.")
    both = np.concatenate([labels, predictions])
    if len(both) and not 0 <= both.min() <= both.max() < classes:
        raise ValueError(f"Classes run from {both.min()} to {both.max()}, but there are {classes}.")
    return np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: Confusion) -> float:
    """The share of examples on the diagonal, in [0, 1]; NaN of none."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def class_iou(confusion: Confusion) -> Float[np.ndarray, " classes"]:
    """Intersection over union of each class over all examples; NaN of classes that neither has."""
    both = np.diag(confusion).astype(np.float64)
    either = confusion.sum(0) + confusion.sum(1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
