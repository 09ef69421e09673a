"""Sounds side by side on a page: waveform, spectrogram and player of each, on equal axes.

Of the WAV files of the same names in two or more folders:
`python -m gdl_jax.pictures.sounds REFERENCES ESTIMATES --page sounds.html`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from gdl_jax.data.sound import read_wav, wav_bytes
from gdl_jax.errors import UsageError, run_module
from gdl_jax.files import write_text
from gdl_jax.metrics.pairs import compare_pairs, names_of, paired, ratios
from gdl_jax.pictures.curves import escape
from gdl_jax.pictures.page import data_address, page, png_address, table

WIDTH, HEIGHT = 480, 70
"""Of a waveform, in units of its drawing."""
WINDOW_SECONDS = 0.032
FLOOR = -80.0
"""In dB under the loudest point of a clip; what is lower is black."""
MOST_CLIPS = 24
"""On a page of files."""

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


def clips_of(references: Path, estimates: Sequence[Path]) -> list[Clip]:
    """The first sounds of a folder, each with its estimates.

    Args:
        references: folder of what is wanted.
        estimates: folders with files of the same names.

    Raises:
        UsageError: a folder without sounds, a missing or damaged file, or a pair that does not fit together.
    """
    kind, names = names_of(references)
    if kind != "sounds":
        raise UsageError(f"{references} holds no sounds, and this page is of sounds; give folders of .wav files.")
    clips = []
    for name in names[:MOST_CLIPS]:
        clean, rate = read_wav(references / name)
        sounds, words = {references.name: clean}, {}
        for folder in estimates:
            (pair,) = paired(references, folder, [name])
            found = ratios(*pair)
            label = folder.name if folder.name not in sounds else str(folder)
            sounds[label] = read_wav(pair[1])[0]
            words[label] = f"SNR {found['snr']:.1f} dB, segmental {found['segmental_snr']:.1f} dB"
        clips.append(Clip(name, rate, sounds, words))
    return clips


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


def main(arguments: Sequence[str]) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.pictures.sounds", description=__doc__.splitlines()[0])
    parser.add_argument("references", type=Path, help="folder of what is wanted, .wav files")
    parser.add_argument("estimates", type=Path, nargs="+", help="folders with files of the same names")
    parser.add_argument("--page", type=Path, required=True, help="HTML file to write")
    options = parser.parse_args(arguments)
    if options.page.suffix != ".html":
        raise UsageError(f"--page {options.page} has to end in .html.")
    clips = clips_of(options.references, options.estimates)
    found = compare_pairs(options.references, options.estimates)
    rows = [(folder, *(f"{result['value']:.2f}" for result in results.values())) for folder, results in found.items()]
    pairs = next(iter(found.values()))["snr"]["protocol"]["pairs"]
    shown = f"{pairs} sounds" if pairs <= len(clips) else f"the first {len(clips)} of {pairs} sounds"
    scores = [("estimates", "SNR, dB", "segmental SNR, dB"), *rows]
    text = sound_page(f"Sounds of {options.references}", f"{shown}, on equal axes within a row.", clips, scores)
    write_text(options.page, text)
    print(options.page)


if __name__ == "__main__":
    sys.exit(run_module(main))
