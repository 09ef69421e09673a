"""Handwritten digits that come with scikit-learn (1,797 of 8x8 pixels), placed in a frame as MNIST places its own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from sklearn.datasets import load_digits

from gdl_jax.data.images import with_channels
from gdl_jax.data.source import ArraySource, DataSettings, Split, reject_crop
from gdl_jax.errors import UsageError

CLASSES = tuple("0123456789")

MAX_VALUE = 16


def framed(strokes: Float[np.ndarray, "n 8 8"], size: int) -> UInt8[np.ndarray, "n size size 1"]:
    """Enlarges the digits (bicubic) and centres them in a black frame.

    MNIST puts digits of 20x20 pixels into a frame of 28x28; other sizes keep that proportion, with equal margins.

    Args:
        strokes: values in [0, 16], 16 = ink.
        size: height and width of the frame in pixels.
    """
    margin = round(size * 4 / 28)
    inner = size - 2 * margin
    images = np.zeros((len(strokes), size, size, 1), np.uint8)
    for image, stroke in zip(images, strokes, strict=True):
        enlarged = Image.fromarray(stroke.astype(np.float32)).resize((inner, inner), Image.Resampling.BICUBIC)
        # Bicubic interpolation overshoots at the edges of a stroke.
        ink = np.clip(np.asarray(enlarged) / MAX_VALUE, 0, 1)
        image[margin : size - margin, margin : size - margin, 0] = np.rint(255 * ink)
    return images


def is_test(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Marks every sixth example of each class as a test example.

    The digits are stored in runs 0, 1, ..., 9, so every sixth of all would be a split by digit.
    """
    marks = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        marks[np.flatnonzero(labels == label)[5::6]] = True
    return marks


def load(settings: DataSettings, split: Split) -> ArraySource:
    """White digits on black, (size, size, 1) with size 28 unless set, and labels: 1,501 to train, 296 to test."""
    reject_crop(settings)
    size = settings.size or 28
    if size < 8:
        raise UsageError(f"--data.size is {size}, but 'digits' needs at least 8 pixels to be legible.")
    stored = load_digits()
    chosen = np.flatnonzero(is_test(stored.target) == (split == "test"))[: settings.num_examples]
    return ArraySource(
        "digits",
        {
            "image": with_channels(framed(stored.images[chosen], size), settings.channels),
            "label": stored.target[chosen].astype(np.int32),
        },
        CLASSES,
    )
