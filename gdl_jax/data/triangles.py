"""Grey pictures of one triangle each, whose manifold is known: Lucic et al. 2018 (arXiv:1711.10337), section 5.

    uniforms(seed, indices) -> parameters_of -> render

Every picture is a smooth function of four numbers, which may change within bounds; so the distance of any image to the
nearest picture can be found by descent, and with it precision and recall in their first meaning:
`gdl_jax.metrics.manifold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from gdl_jax.data.images import with_channels
from gdl_jax.data.shapes import uniforms
from gdl_jax.data.source import ArraySpec, DataSettings, Split, reject_crop
from gdl_jax.errors import UsageError

FIRST = {"train": 0, "test": 60_000}
"""Index of the first picture: of the paper's 80,000 the first 60,000 train, and the next 10,000 test."""
COUNT = {"train": 60_000, "test": 10_000}

RADII = (0.2, 0.4)
"""From the centre to the corners, the smallest and the largest, in units of the picture."""
TURN = 2 * np.pi / 3
"""After which an equilateral triangle is the same again."""
SHARPNESS = 4.0
"""An edge goes from 12 to 88 per cent within a pixel."""


def parameters_of(uniform: Float[Any, "*batch 4"], xp: Any = np) -> Float[Any, "*batch 4"]:
    """Centre x, centre y, radius and angle of triangles that lie wholly in the picture.

    Args:
        uniform: numbers in [0, 1]; the same numbers, spread evenly, give the data's distribution.
        xp: numpy, or jax.numpy.
    """
    low, high = RADII
    radius = low + (high - low) * uniform[..., 2]
    x, y = (radius + (1 - 2 * radius) * uniform[..., axis] for axis in (0, 1))
    return xp.stack([x, y, radius, TURN * uniform[..., 3]], -1)


def render(parameters: Float[Any, "*batch 4"], size: int, xp: Any = np) -> Float[Any, "*batch {size} {size}"]:
    """White triangles on black, from 0 to 1: the product over the edges of a sigmoid of the distance to it.

    Args:
        parameters: see `parameters_of`; in units of the picture, x to the right and y downwards, the angle in radians.
        size: height and width in pixels.
        xp: numpy, or jax.numpy, in which it can be differentiated.
    """
    x, y, radius, angle = (parameters[..., i, None, None] for i in range(4))
    places = ((np.arange(size) + 0.5) / size).astype(np.float32)
    axes = (1,) * (parameters.ndim - 1)
    across, down = places.reshape(*axes, 1, size) - x, places.reshape(*axes, size, 1) - y
    inside = 1.0
    for edge in range(3):
        turned = angle + edge * TURN
        # An edge is half a radius from the centre.
        distance = size * (radius / 2 - (across * xp.cos(turned) + down * xp.sin(turned)))
        # The logistic function; exp would overflow far away.
        inside = inside * 0.5 * (1 + xp.tanh(0.5 * SHARPNESS * distance))
    return inside


@dataclass(frozen=True, kw_only=True)
class Triangles:
    """The pictures with indices `first` to `first + num_examples - 1`, drawn when they are taken.

    "parameters" are those of `render`.

    Attributes:
        num_examples: how many.
        first: index of the first one.
        seed: another seed gives other pictures.
        size: height and width in pixels.
        channels: 1 or 3.
    """

    num_examples: int
    first: int = 0
    seed: int = 0
    size: int = 28
    channels: Literal[1, 3] = 1

    name = "triangles"
    classes = ()

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Shape and dtype of each array of one example."""
        one = self.take(np.zeros(1, np.int64))
        return {key: ArraySpec(array.shape[1:], array.dtype) for key, array in one.items()}

    def __len__(self) -> int:
        return self.num_examples

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, np.ndarray]:
        """Draws the pictures at `indices`."""
        drawn = uniforms(self.seed, self.first + indices.astype(np.int64), 4)
        parameters = parameters_of(drawn).astype(np.float32)
        images = np.rint(255 * render(parameters, self.size)).astype(np.uint8)[..., None]
        return {"image": with_channels(images, self.channels), "parameters": parameters}


def load(settings: DataSettings, split: Split) -> Triangles:
    """28x28, grey, 60,000 to train and 10,000 to test unless set.

    Raises:
        UsageError: more examples than a split has, or a crop.
    """
    reject_crop(settings)
    num = settings.num_examples or COUNT[split]
    if num > COUNT["train"]:
        raise UsageError(f"--data.num-examples is {num}, but 'triangles' has {COUNT['train']} at the most.")
    return Triangles(
        num_examples=min(num, COUNT[split]),
        first=FIRST[split],
        seed=settings.seed,
        size=settings.size or 28,
        channels=settings.channels or 1,
    )
