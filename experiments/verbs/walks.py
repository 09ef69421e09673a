"""Walks through a latent space: along single dimensions, away from the prior, from image to image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.verbs.codes import Coder, Codes, OnDecoder, chosen_images, encodes, open_coder
from experiments.verbs.opening import Images, check_num
from gdl_jax.data.source import Split
from gdl_jax.data.transforms import to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.latents import lerp, slerp
from gdl_jax.metrics.neighbours import nearest
from gdl_jax.models.model import LatentModel
from gdl_jax.pictures.captions import named_rows, titled
from gdl_jax.pictures.grid import save_gif, strip
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState

MOST_DIMENSIONS = 10
MOST_TEST_IMAGES = 5000
PRIOR_MEANS = (-2.0, -1.0, 0.0, 1.0, 2.0)
PRIOR_STDS = (0.75, 0.85, 0.95, 1.05, 1.15, 1.25, 1.35, 1.45)
"""The grid of Lanham's figure 3-19."""
PATHS: dict[str, Callable] = {"linear": lerp, "slerp": slerp}


@dataclass(frozen=True, kw_only=True)
class Sweep(OnDecoder):
    """Decode along single dimensions, or draws from a prior of another mean and standard deviation.

    Over "hidden" the draws take the place of what the decoder's first dense layer makes of a latent vector. Lanham's
    chapter 3 does so by mistake, with vectors of 1,024 numbers where the latent space has 32 dimensions, and blames the
    method for the pictures; beside "prior" one sees the difference.
    """

    over: Literal["dimensions", "prior", "hidden"] = "dimensions"
    """What changes."""
    dimensions: tuple[int, ...] = ()
    """Which, from 0 on (default: the ten in which the codes vary most)."""
    image: int | None = None
    """Number of a test image to start from (default: the middle of the prior, or the mean code)."""
    extent: float = 3.0
    """Each dimension goes from minus to plus so many."""
    points: int = 10
    """Images in a row."""


@dataclass(frozen=True, kw_only=True)
class Morph(OnDecoder):
    """Walk from one image to another along the straight line and the great circle: a picture, and two animations."""

    start: tuple[int, ...] = (0,)
    """Numbers of the images to start from."""
    end: tuple[int, ...] = (1,)
    """Numbers of the images to end at, as many."""
    points: int = 11
    """Images of each walk, both ends among them."""
    split: Split = "test"
    """Which part of the data."""


def sweep(options: Sweep) -> None:
    """`sweep WORKDIR`."""
    check_num(options.points, "points", 2)
    coder = open_coder(options)
    if options.over == "dimensions":
        _sweep_dimensions(coder, options)
    else:
        _sweep_prior(coder, options)


def _sweep_dimensions(coder: Coder, options: Sweep) -> None:
    if encodes(coder):
        codes = coder.encode(coder.run.examples("test", MOST_TEST_IMAGES, coder.seed)["image"])
        middle, spread = (np.zeros(codes.shape[1]) if coder.has_prior else codes.mean(axis=0)), codes.std(axis=0)
    else:
        middle = np.zeros(coder.draw(1, "size").shape[1])
        spread = np.ones(len(middle))
    if options.image is not None:
        middle = coder.encode(chosen_images(coder, "test", (options.image,)))[0]
    wrong = [i for i in options.dimensions if not 0 <= i < len(middle)]
    if wrong:
        raise UsageError(f"There is no dimension {wrong[0]}; the codes have 0 to {len(middle) - 1}.")
    chosen = options.dimensions or np.argsort(-spread, kind="stable")[:MOST_DIMENSIONS].tolist()
    steps = np.linspace(-options.extent, options.extent, options.points)
    walks = np.broadcast_to(middle, (len(chosen), options.points, len(middle))).copy()
    for row, i in enumerate(chosen):
        # Without a prior the codes have a scale of their own.
        walks[row, :, i] = steps if coder.has_prior else middle[i] + steps * spread[i]
    images = coder.decode(walks.reshape(-1, len(middle)))
    images = images.reshape(len(chosen), options.points, *images.shape[1:])
    unit = "" if coder.has_prior else " standard deviations round the mean code"
    words = f"single dimensions from {-options.extent:g} to {options.extent:g}{unit}, step {coder.run.step:,}"
    coder.save("sweep_dimensions", titled(named_rows(images, [f"z[{i}]" for i in chosen]), words))
    change = np.abs(images[:, -1].astype(float) - images[:, 0]).mean(axis=(1, 2, 3))
    coder.say(
        {f"mean change of a pixel from end to end, z[{i}]": value for i, value in zip(chosen, change, strict=True)}
    )


def _sweep_prior(coder: Coder, options: Sweep) -> None:
    if not isinstance(coder.run.model, LatentModel):
        raise UsageError(
            f"{coder.name} has no prior to change; use --over dimensions, or scatter with --draw-from normal."
        )
    pairs, points = [(std, mean) for std in PRIOR_STDS for mean in PRIOR_MEANS], options.points
    # The same draws in every row, so that only mean and deviation differ.
    noise = coder.draw(points, "sweep verb")
    if options.over == "prior":
        images = coder.decode(np.concatenate([mean + std * noise for std, mean in pairs]))
        drawn = "draws from N(mean, std^2)"
    else:
        images, size = decode_hidden_noise(coder, noise, pairs)
        drawn = f"draws from N(mean, std^2) for {size:,} hidden numbers"
    grouped = images.reshape(len(pairs), points, *images.shape[1:])
    names = [f"mean {mean:g}, std {std:g}" for std, mean in pairs]
    coder.save(f"sweep_{options.over}", titled(named_rows(grouped, names), f"{drawn}, step {coder.run.step:,}"))
    known = coder.run.examples("test", MOST_TEST_IMAGES, coder.seed)["image"]
    flat, reference = (batch.reshape(len(batch), -1).astype(np.float32) for batch in (images, known))
    distance = nearest(flat, reference, 1).distances[:, 0] / np.sqrt(flat.shape[1])
    distance = distance.reshape(len(PRIOR_STDS), len(PRIOR_MEANS), points)
    print("root mean square distance to the nearest test image, 0 to 255, by mean (across) and std (down)")
    print(" " * 6 + "".join(f"{mean:>8g}" for mean in PRIOR_MEANS))
    for std, line in zip(PRIOR_STDS, distance.mean(axis=2), strict=True):
        print(f"{std:>6g}" + "".join(f"{value:>8.1f}" for value in line))


def decode_hidden_noise(coder: Coder, latents: Codes, pairs: list[tuple[float, float]]) -> tuple[Images, int]:
    """Noise through a decoder behind its first dense layer.

    Args:
        coder: of the run.
        latents: as many as images for a pair; their values do not matter.
        pairs: standard deviation and mean of the noise.

    Returns:
        The images, those of the first pair first, and how many hidden numbers there are.

    Raises:
        UsageError: the decoder has no dense layer.
    """
    model, key, sizes = coder.run.model, stream_key(coder.seed, "hidden noise"), []

    @jax.jit
    def decode(state: TrainState, std: Array, mean: Array) -> Array:
        sizes.clear()

        def replace(layer: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Array:
            hidden = layer(*args, **kwargs)
            if sizes or not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
                return hidden
            sizes.append(hidden.shape[1])
            return mean + std * jax.random.normal(key, hidden.shape, hidden.dtype)

        with nn.intercept_methods(replace):
            return coder.images_of(state, latents)

    decoded = [np.asarray(decode(coder.run.state, np.float32(std), np.float32(mean))) for std, mean in pairs]
    if not sizes:
        raise UsageError(f"The network of {coder.name} begins with no dense layer to put noise behind.")
    return to_uint8(np.concatenate(decoded), model.image_range), sizes[0]


def morph(options: Morph) -> None:
    """`morph WORKDIR`."""
    check_num(options.points, "points", 2)
    if len(options.start) != len(options.end) or not options.start:
        raise UsageError("--start and --end need equally many images, at least one.")
    coder = open_coder(options)
    images = chosen_images(coder, options.split, options.start + options.end)
    ends = jnp.asarray(coder.encode(images))
    start, end = ends[: len(options.start)], ends[len(options.start) :]
    first, last = images[: len(options.start)], images[len(options.start) :]
    lines, numbers = [], {}
    for name, path in PATHS.items():
        walk = np.stack([np.asarray(path(start, end, float(t))) for t in np.linspace(0, 1, options.points)], axis=1)
        decoded = coder.decode(walk.reshape(-1, walk.shape[-1])).reshape(*walk.shape[:2], *images.shape[1:])
        lines.append(np.concatenate([first[:, None], decoded, last[:, None]], axis=1))
        frames = np.stack([strip(decoded[:, t]) for t in (*range(options.points), *range(options.points - 2, 0, -1))])
        save_gif(coder.path(f"morph_{name}", ".gif"), frames)
        print(coder.path(f"morph_{name}", ".gif"))
        lengths = np.linalg.norm(walk, axis=-1)
        moved = np.abs(np.diff(decoded.astype(float), axis=1)).mean(axis=(0, 2, 3, 4))
        numbers[f"{name}: length of the middle code / mean of the ends"] = (
            lengths[:, options.points // 2] / np.maximum(lengths[:, [0, -1]].mean(axis=1), 1e-9)
        ).mean()
        numbers[f"{name}: largest step / mean step in pixels"] = moved.max() / max(moved.mean(), 1e-9)
    names = [f"{name} {a} to {b}" for name in PATHS for a, b in zip(options.start, options.end, strict=True)]
    picture = named_rows(np.concatenate(lines), names)
    coder.save("morph", titled(picture, "original, decoded walk, original"))
    coder.say(numbers)


WALK_VERBS = {"sweep": (Sweep, sweep), "morph": (Morph, morph)}
