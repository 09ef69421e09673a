"""Sounds in files: WAV, 16-bit PCM, which the standard library reads."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gdl_jax.errors import UsageError

PEAK = 2**15


def read_wav(path: Path) -> tuple[Float[np.ndarray, " samples"], int]:
    """A sound in [-1, 1), float32, several channels averaged; and its samples a second.

    Raises:
        UsageError: there is no such file, or it is no WAV of 16-bit PCM, or damaged.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise UsageError(
            f"{path} is no WAV of 16-bit PCM ({error or 'it ends too early'}); convert it first."
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if width != 2:
        raise UsageError(f"{path} has {8 * width} bits a sample, and WAV of 16-bit PCM is read; convert it first.")
    whole = len(content) // (2 * channels) * 2 * channels
    frames = np.frombuffer(content[:whole], "<i2").reshape(-1, channels)
    return frames.mean(1, dtype=np.float32) / PEAK, rate


def wav_bytes(sound: Float[np.ndarray, " samples"], rate: int) -> bytes:
    """A sound in [-1, 1] as WAV; what is louder is cut off."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.clip(np.rint(sound * PEAK), -PEAK, PEAK - 1).astype("<i2").tobytes())
    return file.getvalue()
