"""The objects of `shapes` in motion: they glide, turn and bounce off the edges, with exact optical flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from gdl_jax.data.shapes import RADII, Scenes, draw_scenes, render, uniforms

SLOWEST, FASTEST = 0.02, 0.05
"""Speeds in image widths per frame: 0.6 to 1.6 pixels of 32."""

FASTEST_SPIN = 0.15
"""Radians per frame, either way."""

MOTION_STREAM = 1


def moving(
    seed: int, index: int, frames: int, *, size: int = 32, max_objects: int = 1
) -> tuple[UInt8[np.ndarray, "frames size size 3"], Float[np.ndarray, "steps size size 2"]]:
    """A film that starts with the scene of this (seed, index).

    Args:
        seed: another seed gives other films.
        index: any integer from 0 on.
        frames: number of pictures, at least 1.
        size: height and width in pixels.
        max_objects: from 1 to so many objects.

    Returns:
        The pictures, and for each but the last the optical flow to the next, float32: what is at pixel (x, y) of
        picture t is at (x, y) + flow[t, y, x] of picture t + 1. The first channel is x, to the right; the
        second y, downwards; in pixels; 0 on the background.
    """
    scenes = paths(seed, index, frames, max_objects=max_objects)
    drawn = render(scenes, size)
    return drawn["image"], flow(scenes, drawn["instance"][..., 0])


def paths(seed: int, index: int, frames: int, *, max_objects: int = 1) -> Scenes:
    """The scene at each moment of the film: n = frames. `cell` remains where the film began."""
    still = draw_scenes(seed, np.full(frames, index), max_objects=max_objects)
    numbers = uniforms(seed, np.array([index]), 3 * max_objects, stream=MOTION_STREAM)[0]
    course, speed, spin = numbers.reshape(3, max_objects)
    speed = SLOWEST + (FASTEST - SLOWEST) * speed
    course = 2 * np.pi * course
    moments = np.arange(frames)[:, None]
    margin = np.array(list(RADII.values()))[still.size]
    return replace(
        still,
        x=_bounced(still.x + moments * speed * np.cos(course), margin),
        y=_bounced(still.y + moments * speed * np.sin(course), margin),
        angle=still.angle + moments * FASTEST_SPIN * (2 * spin - 1),
    )


def flow(scenes: Scenes, instance: UInt8[np.ndarray, "frames size size"]) -> Float[np.ndarray, "steps size size 2"]:
    """The displacement in pixels from each frame to the next of the object that is seen at each pixel.

    Args:
        scenes: the moments of one film.
        instance: the number + 1 of the object at each pixel, 0 = background.
    """
    size = instance.shape[-1]
    centres = (np.arange(size) + 0.5) / size
    result = np.zeros((len(instance) - 1, size, size, 2), np.float32)
    for slot in range(scenes.form.shape[1]):
        x, y, angle = (values[:, slot, None, None] for values in (scenes.x, scenes.y, scenes.angle))
        turn = np.diff(angle, axis=0)
        right, down = centres[None, None, :] - x[:-1], centres[None, :, None] - y[:-1]
        moved_x = x[1:] + np.cos(turn) * right - np.sin(turn) * down
        moved_y = y[1:] + np.sin(turn) * right + np.cos(turn) * down
        displacement = np.stack([moved_x - centres[None, None, :], moved_y - centres[None, :, None]], axis=-1) * size
        seen = instance[:-1] == slot + 1
        result[seen] = displacement[seen]
    return result


def _bounced(
    position: Float[np.ndarray, "frames objects"], margin: Float[np.ndarray, "frames objects"]
) -> Float[np.ndarray, "frames objects"]:
    """Folds a straight path back into [margin, 1 - margin], as a wall does."""
    room = 1 - 2 * margin
    return margin + room - np.abs((position - margin) % (2 * room) - room)
