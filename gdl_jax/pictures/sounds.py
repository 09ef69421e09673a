"""Sounds side by side on a page: waveform, spectrogram and player of each, on equal axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from gdl_jax.data.sound import wav_bytes
from gdl_jax.pictures.curves import escape
from gdl_jax.pictures.page import data_address, page, png_address, table

WIDTH, HEIGHT = 480, 70
"""Of a waveform, in units of its drawing."""
WINDOW_SECONDS = 0.032
FLOOR = -80.0
"""In dB under the loudest point of a clip; what is lower is black."""

Sound = Float[np.ndarray, " samples"]


@dataclass(frozen=True, eq=False)
class Clip:
    """What is compared, such as a clean sound, a noisy one and what was made of it.

    Attributes:
        name: of the clip.
        rate: samples a second.
        sounds: in [-1, 1], by what they are.
        words: of some of them, such as their signal-to-noise ratio.
    """

    name: str
    rate: int
    sounds: Mapping[str, Sound]
    words: Mapping[str, str] = field(default_factory=dict)


def sound_page(title: str, summary: str, clips: Sequence[Clip], scores: Sequence[Sequence[str]] = ()) -> str:
    """One page that needs nothing else.

    Args:
        title: of the page.
        summary: a sentence.
        clips: one row each.
        scores: a table, the first row its head.
    """
    parts = {
        "title": escape(title),
        "summary": escape(summary),
        "scores": table(scores[1:], scores[0]) if scores else "",
        "clips": "".join(map(_section, clips)),
    }
    return page("sounds", parts)


def spectrogram(sound: Sound, rate: int, *, seconds: float = WINDOW_SECONDS) -> Float[np.ndarray, "frequencies frames"]:
    """Power in dB of Hann windows that begin a quarter of their length after each other; the lowest frequency first.

    A sine of amplitude 1 has 0 dB. A sound that is shorter than a window is filled up with silence.
    """
    length = max(round(seconds * rate), 4)
    padded = np.pad(sound.astype(np.float64), (0, max(0, length - len(sound))))
    window = np.hanning(length + 1)[:length]
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[:: length // 4] * window
    amplitude = np.abs(np.fft.rfft(frames, axis=1)).T * 2 / window.sum()
    return 20 * np.log10(np.maximum(amplitude, 1e-10))


def _section(clip: Clip) -> str:
    peak = max(max(np.abs(sound).max(initial=0) for sound in clip.sounds.values()), 1e-6)
    powers = {name: spectrogram(sound, clip.rate) for name, sound in clip.sounds.items()}
    loudest = max(power.max() for power in powers.values())
    figures = "".join(
        f"<figure><figcaption><b>{escape(name)}</b><span>{escape(clip.words.get(name, ''))}</span></figcaption>"
        f"{_waveform(sound / peak, name)}"
        f'<img src="{png_address(_coloured(powers[name] - loudest))}" alt="spectrogram of {escape(name)}">'
        f'<div class="axes"><span>0 s</span><span>0 to {clip.rate / 2000:g} kHz, {-FLOOR:g} dB</span>'
        f"<span>{len(sound) / clip.rate:.2f} s</span></div>"
        f'<audio controls src="{data_address(wav_bytes(sound, clip.rate), "audio/wav")}"></audio></figure>'
        for name, sound in clip.sounds.items()
    )
    return f'<section><h2>{escape(clip.name)}</h2><div class="clip">{figures}</div></section>'


def _waveform(sound: Sound, name: str) -> str:
    """The span from the lowest to the highest value in every column."""
    columns = min(WIDTH, max(len(sound), 1))
    parts = np.array_split(sound if len(sound) else np.zeros(1), columns)
    high, low = (np.array([pick(part) for part in parts]) for pick in (np.max, np.min))
    x = np.arange(columns) * WIDTH / columns
    # At least a hair, so that silence is a line.
    top = (1 - high) * HEIGHT / 2 - 0.3
    bottom = (1 - low) * HEIGHT / 2 + 0.3
    points = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform of {escape(name)}"><line x1="0" x2="{WIDTH}" y1="{HEIGHT / 2}" y2="{HEIGHT / 2}"/>'
        f'<path d="M{path}Z"/></svg>'
    )


def _coloured(power: Float[np.ndarray, "frequencies frames"]) -> UInt8[np.ndarray, "frequencies frames 3"]:
    """From black to yellow, the highest frequency on top."""
    from matplotlib import colormaps

    level = np.clip(1 - power / FLOOR, 0, 1)[::-1]
    return (255 * colormaps["inferno"](level)[..., :3]).round().astype(np.uint8)
