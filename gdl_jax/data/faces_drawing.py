"""Paints drawn faces, from the background to the hat."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from gdl_jax.data import faces_geometry as geometry
from gdl_jax.data.faces_canvas import PARTS, Canvas, channels, paint_some, spot, spread, wave
from gdl_jax.data.faces_geometry import INNER, LEFT, RIGHT, ellipse, lens, rounded_box
from gdl_jax.data.faces_people import BEARDS, HAIR_STYLES, HATS, LONG_STYLES, Looks, People

PIXELS_AT_ONCE = 2**17

STYLES = {
    # outer half width (of the head's), top, lower end at the sides, half width of the face, its shift, fringe, rise
    "short": (1.05, -1.10, 0.05, 0.92, 0.0, -9.0, 0.0),
    "side_part": (1.08, -1.17, 0.15, 0.97, 0.16, -9.0, 0.02),
    "fringe": (1.09, -1.13, 0.22, 0.93, 0.0, -0.38, 0.0),
    "receding": (1.03, -1.04, 0.05, 0.97, 0.0, -9.0, -0.18),
    "bob": (1.17, -1.15, 0.80, 0.91, 0.08, -9.0, 0.0),
    "long": (1.14, -1.13, 1.00, 0.91, -0.08, -9.0, -0.02),
    "curly": (1.30, -1.32, 0.50, 0.90, 0.0, -9.0, 0.04),
    "bun": (1.05, -1.08, 0.00, 0.93, 0.0, -9.0, -0.04),
}


def render(people: People, looks: Looks, size: int) -> dict[str, UInt8[np.ndarray, "n size size _"]]:
    """Paints each look of each person.

    Args:
        people: who; the i-th has the i-th look.
        looks: how.
        size: height and width in pixels.

    Returns:
        "image" RGB; "mask" index into `PARTS`, 1 channel.
    """
    count = len(looks.x)
    image, mask = np.empty((count, size, size, 3), np.uint8), np.empty((count, size, size, 1), np.uint8)
    step = max(1, PIXELS_AT_ONCE // size**2)
    for start in range(0, count, step):
        few = slice(start, start + step)
        canvas = _paint(spread(people, few), spread(looks, few), size)
        np.rint(np.clip(canvas.image, 0, 255, out=canvas.image), out=canvas.image)
        image[few] = np.moveaxis(canvas.image, 0, -1)
        mask[few] = canvas.part[..., None]
    return {"image": image, "mask": mask}


def _paint(people: People, looks: Looks, size: int) -> Canvas:
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.broadcast_arrays(centres[None, None, :] - looks.x, centres[None, :, None] - looks.y)
    right, down = x / looks.scale, y / looks.scale
    cos, sin = np.cos(looks.tilt), np.sin(looks.tilt)
    n = len(looks.x)
    canvas = Canvas(
        image=np.empty((3, n, size, size), np.float32),
        part=np.zeros((n, size, size), np.uint8),
        u=cos * right + sin * down,
        v=cos * down - sin * right,
        pixels=looks.scale * size,
    )
    upright = dataclasses.replace(canvas, u=right, v=down)
    _background(canvas, looks, centres)
    hatless = looks.hat == 0
    paint_some(_back_hair, canvas, people, looks, np.isin(people.hair_style, _indices(HAIR_STYLES, *LONG_STYLES)))
    _body(upright, people, looks)
    paint_some(_bun, canvas, people, looks, (people.hair_style == HAIR_STYLES.index("bun")) & hatless)
    _head(canvas, people, looks)
    _nose(canvas, people, looks)
    paint_some(_beard, canvas, people, looks, people.beard > 0)
    _mouth(canvas, people, looks)
    for side in (LEFT, RIGHT):
        _eye(canvas, people, looks, side)
    paint_some(_moustache, canvas, people, looks, people.moustache)
    _hair(canvas, people, looks)
    paint_some(_glasses, canvas, people, looks, looks.eyeglasses)
    paint_some(_hat, canvas, people, looks, ~hatless)
    canvas.image[...] *= looks.light
    for plane, warmth in zip(canvas.image, (1 + looks.warmth, 1.0, 1 - looks.warmth), strict=True):
        plane *= warmth
    return canvas


def _indices(names: tuple[str, ...], *wanted: str) -> list[int]:
    return [names.index(name) for name in wanted]


# From back to front.


def _background(canvas: Canvas, looks: Looks, centres: Float[np.ndarray, " size"]) -> None:
    """A slope between two colours, a lit wall, a wall over another, or lights out of focus."""
    x, y = centres[None, None, :] - 0.5, centres[None, :, None] - 0.5
    cos, sin = np.cos(looks.background_turn), np.sin(looks.background_turn)
    along = 0.5 + 0.7 * (x * cos + y * sin)
    lit = 1.3 * np.sqrt((x - 0.2 * cos) ** 2 + (y + 0.1) ** 2)
    over = 0.5 + (y + 0.15 * x * cos - 0.12 * sin) * 30
    mix = np.clip(np.select([looks.background_kind == k for k in (0, 1, 2)], [along, lit, over], along), 0, 1)
    for plane, start, end in zip(canvas.image, channels(looks.background), channels(looks.background_end), strict=True):
        plane[...] = start + (end - start) * mix
    lights = (looks.background_kind == 3) * np.float32(0.35)
    for k in range(5):
        angle = looks.background_turn + 2.4 * k
        glow = 0.5 + (0.08 + 0.02 * k - np.sqrt((x - 0.4 * np.cos(angle)) ** 2 + (y - 0.4 * np.sin(angle)) ** 2)) * 40
        canvas.image[...] += (255 - canvas.image) * (np.clip(glow, 0, 1) * lights)


def _back_hair(canvas: Canvas, people: People, looks: Looks) -> None:
    """Behind neck and shoulders."""
    bottom = np.where(people.hair_style == HAIR_STYLES.index("long"), np.float32(1.75), np.float32(0.78))
    top = -0.9
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    x = canvas.u + 0.1 * np.sin(looks.turn)
    distance = rounded_box(x, canvas.v - middle, 1.14 * people.head_width, half, 0.72)
    canvas.paint(people.hair * 0.77, distance, part="hair")
    canvas.shade(1 + 0.09 * wave(4.5 * x + 0.3 * canvas.v), distance)


def _body(upright: Canvas, people: People, looks: Looks) -> None:
    """Neck and clothes, which stay upright when the head is tilted."""
    view = upright.around(0.0, 1.9, 2.0)
    neck_x = 0.06 * np.sin(looks.turn)
    neck = rounded_box(view.u - neck_x, view.v - 1.0, 0.55 * people.jaw_width, 0.6, 0.1)
    view.paint(people.skin * 0.92, neck, part="skin")
    view.shade(1 - 0.3 * spot(view.u - neck_x, 0.8 * (view.v - people.chin), 0.55), neck)
    shoulders = ellipse(view.u, view.v - 2.08, 1.32, 1.0)
    opening = np.select(
        [looks.collar == 0, looks.collar == 1],
        [ellipse(view.u, view.v - 1.1, 0.42, 0.2), np.abs(view.u) * 0.8 + (view.v - 1.5) * 0.5],
        ellipse(view.u, view.v - 1.04, 0.36, 0.14),
    )
    view.paint(people.skin * 0.95, np.maximum(shoulders, opening), part="skin")
    dressed = np.maximum(shoulders, -opening)
    view.paint(looks.clothes, dressed, part="clothes")
    edge = np.maximum(np.abs(opening - 0.05) - 0.018, shoulders)
    view.paint(looks.clothes * 0.75, edge)
    view.shade(1 + 0.12 * looks.light_x * view.u - 0.1 * (view.v - 1.3), dressed)


def _head(canvas: Canvas, people: People, looks: Looks) -> None:
    """Ears, head, light and blush."""
    turn = np.sin(looks.turn)
    for side in (LEFT, RIGHT):
        x = side * people.head_width * 0.97 - 0.12 * turn
        view = canvas.around(x, 0.05, 0.3)
        ear = ellipse(view.u - x, view.v - 0.05, 0.11 * people.ear_size, 0.2 * people.ear_size)
        view.paint(people.skin * 0.93, ear, part="skin")
        inner = ellipse(view.u - x, view.v - 0.05, 0.05 * people.ear_size, 0.12 * people.ear_size)
        view.paint(people.skin * 0.76, inner)
    view = canvas.around(0.0, 0.0, 1.25)
    contour = geometry.head(people, looks, view.u, view.v)
    view.paint(people.skin, contour, part="skin")
    rim = np.clip(1 + contour / 0.3, 0, 1)
    light = 1 + 0.13 * looks.light_x * view.u / people.head_width - 0.05 * view.v - 0.16 * rim * rim
    view.shade(light, contour)
    for side in (LEFT, RIGHT):
        cheek = geometry.place(people, looks, side * 0.42, 0.24)
        near = canvas.around(cheek.x, cheek.y, 0.24)
        blush = spot((near.u - cheek.x) / cheek.stretch, near.v - cheek.y, 0.24) * people.blush
        for plane, factor in zip(near.image, (1.0, 0.72, 0.76), strict=True):
            plane *= 1 + (factor - 1) * blush * (near.part == PARTS.index("skin"))


def _nose(canvas: Canvas, people: People, looks: Looks) -> None:
    """A shadow on the side away from the light and under the tip, nostrils, and a gleam."""
    root, tip = geometry.nose(people, looks)
    view = canvas.around((root.x + tip.x) / 2, (root.y + tip.y) / 2, 0.36)
    width = people.nose_width * tip.stretch
    t = np.clip((view.v - root.y) / (tip.y - root.y), 0, 1)
    ridge = root.x + t * (tip.x - root.x)
    side = np.where(looks.light_x + 2 * looks.turn > 0, np.float32(-1), np.float32(1))
    flank = lens(
        view.v - (root.y + tip.y) / 2, side * (view.u - ridge), (tip.y - root.y) * 0.62, 0.0 * width, 0.55 * width
    )
    view.paint(people.skin * 0.80, flank, opacity=0.55)
    x, y = view.u - tip.x, view.v - tip.y
    ball = ellipse(x, y - 0.01, width, 0.075)
    view.paint(people.skin * 0.84, np.maximum(ball, -(y - 0.01)), opacity=0.75)
    view.paint(people.skin, ellipse(x, y + 0.01, 0.55 * width, 0.06))
    for edge in (LEFT, RIGHT):
        nostril = ellipse(x - edge * 0.48 * width, y - 0.045, 0.24 * width, 0.022)
        view.paint(people.skin * 0.42, nostril, opacity=0.85)
    gleam = spot((x + 0.2 * side * width) / width, (y + 0.03) / 0.07, 0.7)
    view.image[...] += (255 - view.image) * (0.28 * gleam)


def _beard(canvas: Canvas, people: People, looks: Looks) -> None:
    """Cheeks to chin, or the chin alone."""
    part, _ = geometry.mouth(people, looks)
    view = canvas.around(0.0, 0.45, 1.0)
    x, y = view.u - part.x, view.v - part.y
    outline = geometry.head(people, looks, view.u, view.v)
    rise = (x / people.head_width) ** 2
    full = np.maximum(outline - 0.05, 0.62 * (0.02 - 0.72 * rise - y))
    chin = ellipse(x, y - 0.36, 0.26 * part.stretch, 0.26)
    distance = np.where(people.beard == BEARDS.index("full"), full, np.maximum(chin, outline - 0.05))
    view.paint(people.hair * 0.85, distance, opacity=0.94, part="beard")
    view.shade(1 + 0.05 * wave(7 * view.u) - 0.12 * np.clip(y, 0, 1), distance)


def _moustache(canvas: Canvas, people: People, looks: Looks) -> None:
    part, mouth = geometry.mouth(people, looks)
    y = part.y - mouth.up - 0.045
    view = canvas.around(part.x, y, 0.42)
    shape = lens(view.u - part.x, view.v - y, 1.02 * mouth.width, 0.055, 0.035, 0.07 + mouth.bend)
    view.paint(people.hair * 0.85, shape, part="beard")


def _mouth(canvas: Canvas, people: People, looks: Looks) -> None:
    """Lips, the dark between them, teeth and tongue."""
    part, m = geometry.mouth(people, looks)
    view = canvas.around(part.x, part.y, 0.46)
    x, y = view.u - part.x, view.v - part.y
    lips = lens(x, y, m.width, m.up, m.down, m.bend)
    view.paint(people.lips, lips, part="mouth")
    view.shade(1 - np.float32(0.14) * (y < m.bend * (x / m.width) ** 2), lips)
    inside = lens(x, y, m.inner_width, m.inner_up, m.inner_down, INNER**2 * m.bend)
    view.paint((64.0, 20.0, 26.0), inside)
    opened = np.clip(looks.open * 4, 0, 1)
    tongue = ellipse(x, y - 0.9 * m.inner_down, 0.55 * m.inner_width, 0.45 * m.inner_down)
    view.paint((196.0, 84.0, 88.0), np.maximum(inside, tongue), opacity=opened)
    teeth = lens(x, y, 0.84 * m.inner_width, 0.95 * m.inner_up, 0.02 + 0.0 * m.up, m.bend * 0.72**2)
    view.paint((246.0, 243.0, 236.0), np.maximum(inside + 0.006, teeth), opacity=opened)
    below = spot(x / 0.2, (y - m.down - 0.05) / 0.05, 1.0) * (view.part == PARTS.index("skin"))
    view.image[...] *= 1 - 0.16 * below


def _eye(canvas: Canvas, people: People, looks: Looks, side: float) -> None:
    """Eye, lids and brow of one side."""
    part, shape = geometry.eye(people, looks, side)
    width, up, down, _, slant = shape
    view = canvas.around(part.x, part.y, 0.26)
    x, y = view.u - part.x, view.v - part.y
    socket = lens(x, y + 0.02, 1.12 * width, up + 0.075, 0 * up, 0.0, slant)
    view.paint(people.skin * 0.82, socket, opacity=0.55)
    white = lens(x, y, *shape)
    view.paint((250.0, 249.0, 247.0), white, part="eyes")
    radius = 0.092
    across = 0.3 * (looks.gaze_x + 0.9 * np.sin(looks.turn)) * width
    level = -0.012 + 0.03 * looks.gaze_y
    iris = ellipse(x - across, y - level, radius * np.maximum(part.stretch, 0.8), radius)
    view.paint(people.iris * 0.62, np.maximum(white, iris))
    view.paint(people.iris, np.maximum(white, iris + 0.018))
    pupil = ellipse(x - across, y - level, 0.044, 0.044)
    view.paint((16.0, 14.0, 18.0), np.maximum(white, pupil))
    gleam = ellipse(x - across + 0.03, y - level + 0.035, 0.022, 0.022)
    view.paint((255.0, 255.0, 255.0), np.maximum(white, gleam))
    lash = lens(x, y + 0.012, 1.08 * width, up + 0.012, 0 * up, 0.0, slant)
    lid = np.maximum(lash, -lens(x, y - 0.014, 1.05 * width, up, down, 0.0, slant))
    view.paint((44.0, 30.0, 28.0), lid)
    _brow(canvas, people, looks, side)


def _brow(canvas: Canvas, people: People, looks: Looks, side: float) -> None:
    part, shape = geometry.brow(people, looks, side)
    view = canvas.around(part.x, part.y, 0.3)
    distance = lens(view.u - part.x, view.v - part.y, *shape)
    view.paint(people.hair * 0.72, distance, part="brows")


def _bun(canvas: Canvas, people: People, looks: Looks) -> None:
    x = -0.25 * np.sin(looks.turn)
    view = canvas.around(x, -1.2, 0.4)
    distance = ellipse(view.u - x, view.v + 1.2, 0.34, 0.29)
    view.paint(people.hair * 0.9, distance, part="hair")
    view.shade(1 + 0.1 * wave(3 * view.u + 6 * view.v), distance)


def _hair(canvas: Canvas, people: People, looks: Looks) -> None:
    """What lies on the head: the form of the style less an opening for the face."""
    styles = np.array([STYLES[name] for name in HAIR_STYLES], np.float32)[people.hair_style.ravel()]
    outer_x, top, ends, face_x, shift, fringe, rise = (values[:, None, None] for values in styles.T)
    curly = people.hair_style == HAIR_STYLES.index("curly")
    capped = looks.hat > 0
    outer_x, top = np.where(capped, np.minimum(outer_x, 1.16), outer_x), np.where(capped, np.maximum(top, -1.05), top)
    turn, nod = np.sin(looks.turn), np.sin(looks.nod)

    view = canvas.around(0.0, -0.25, 1.35)
    u, v = view.u, view.v
    centre = -0.1
    outer = ellipse(u + 0.08 * turn, v - centre, outer_x * people.head_width, centre - top)
    bumps = curly * np.float32(0.05)
    outer = outer - bumps * wave(2.6 * u + 0.4 * people.hair_part) * wave(2.6 * v)
    line = people.hairline + rise + 0.35 * nod
    x = u - 0.5 * turn - shift * people.hair_part
    face = ellipse(x, v - 0.3, face_x * people.head_width, 0.3 - line)
    strands = 0.035 * wave(4 * u) + 0.05 * (u - 0.45 * turn) ** 2
    face = np.maximum(face, fringe + 0.35 * nod - v + strands)
    # The face goes on below the middle of its ellipse as wide as there.
    face = np.where(v > 0.3, np.abs(x) - face_x * people.head_width, face)
    face = face - 0.35 * bumps * wave(3.4 * u)
    distance = np.maximum(np.maximum(outer, -face), v - ends)
    view.paint(people.hair, distance, part="hair")
    flow = 9 * (u - 0.3 * shift * people.hair_part) / (v + 2.4)
    gloss = spot(0.35 * (u + 0.25 * looks.light_x), (v + 0.86), 0.28)
    view.shade(1 + 0.1 * wave(flow) + 0.3 * gloss - 0.12 * np.clip(v + 0.4, 0, 1), distance)


def _glasses(canvas: Canvas, people: People, looks: Looks) -> None:
    """Rims round or square, bridge, temples, a glint."""
    eyes = [geometry.eye(people, looks, side)[0] for side in (LEFT, RIGHT)]
    y = (eyes[0].y + eyes[1].y) / 2 + 0.02
    view = canvas.around((eyes[0].x + eyes[1].x) / 2, y, 1.1)
    half, line = 0.245, 0.024
    corner = half * (0.45 + 0.45 * looks.round_glasses)
    for side, eye in zip((LEFT, RIGHT), eyes, strict=True):
        rx, ry = half * eye.stretch, half * (0.8 + 0.12 * looks.round_glasses)
        x, below = view.u - eye.x, view.v - y
        rim = rounded_box(x, below, rx, ry, np.minimum(corner, np.minimum(rx, ry)))
        view.paint((235.0, 245.0, 255.0), rim, opacity=0.10)
        glint = np.maximum(rim, np.abs(x + 0.7 * below + 0.08) - 0.025)
        view.paint((255.0, 255.0, 255.0), glint, opacity=0.3)
        ear = side * people.head_width * 0.97 - 0.12 * np.sin(looks.turn)
        start, end = eye.x + side * rx, ear
        temple = rounded_box(view.u - (start + end) / 2, below + 0.06, np.abs(end - start) / 2 + line, line, line * 0.9)
        temple = np.where(side * (end - start) > 0, temple, np.float32(1))
        view.paint(looks.frame, temple, part="glasses")
        view.paint(looks.frame, np.abs(rim) - line, part="glasses")
    inner = [eye.x - side * half * eye.stretch for side, eye in zip((LEFT, RIGHT), eyes, strict=True)]
    middle, reach = (inner[0] + inner[1]) / 2, np.maximum(inner[1] - inner[0], 0.02) / 2
    bridge = lens(view.u - middle, view.v - y + 0.05, reach + line, line, line, 0.05)
    view.paint(looks.frame, bridge, part="glasses")


def _hat(canvas: Canvas, people: People, looks: Looks) -> None:
    """A dome of the head's width, and what makes it a beanie, a cap or a hat with a brim."""
    turn, width = np.sin(looks.turn), people.head_width
    beanie, cap, brimmed = (looks.hat == HATS.index(name) for name in ("beanie", "cap", "brimmed"))
    view = canvas.around(0.0, -0.8, 1.5)
    u, v = view.u + 0.06 * turn, view.v - 0.3 * np.sin(looks.nod)
    rim = np.select([beanie, cap], [np.float32(-0.50), np.float32(-0.56)], np.float32(-0.62))
    arch = 0.09 * (u / width) ** 2
    height = np.select([beanie, cap], [np.float32(0.74), np.float32(0.66)], np.float32(0.80))
    dome = ellipse(u, v - rim, np.where(brimmed, np.float32(0.98), np.float32(1.14)) * width, height)
    crown = rounded_box(u, v - rim + 0.3, 0.92 * width, 0.42, 0.22)
    shape = np.maximum(np.where(brimmed, crown, dome), v - rim - arch)
    view.paint(looks.hat_colour, shape, part="hat")
    view.shade(1 + 0.14 * looks.light_x * u + 0.07 * beanie * wave(5 * u), shape)
    band = np.maximum(shape - 0.025, rim - 0.17 + arch - v)
    view.paint(looks.hat_colour * 0.62, band, opacity=(beanie | brimmed).astype(np.float32))
    view.part[(band < 0) & (beanie | brimmed)] = PARTS.index("hat")
    visor = lens(u - 0.55 * turn, v - rim - 0.02, 1.0 * width, 0.09, 0.16, 0.07)
    brim = lens(u, v - rim, 1.75 * width, 0.09, 0.10, 0.05)
    front = np.select([cap, brimmed], [visor, brim], np.float32(9))
    view.paint(looks.hat_colour * 0.8, front, part="hat")
