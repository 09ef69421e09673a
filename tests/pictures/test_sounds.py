from __future__ import annotations

import base64
import re

import numpy as np

from gdl_jax.pictures.sounds import Clip, sound_page, spectrogram

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)


def test_a_sine_is_a_line_at_its_frequency():
    power = spectrogram(TONE, RATE)
    frequencies = np.fft.rfftfreq(256, 1 / RATE)
    assert power.shape[0] == len(frequencies)
    assert (frequencies[power.argmax(0)] == 1000).all()
    np.testing.assert_allclose(power.max(0), 20 * np.log10(0.5), atol=1e-6)
    assert spectrogram(np.zeros(3), RATE).shape[1] == 1


def test_page_plays_what_it_shows(tmp_path, browse):
    clips = [Clip("one <tone>", RATE, {"clean": TONE, "noisy": 0.5 * TONE}, {"noisy": "SNR 6.0 dB"})]
    text = sound_page("Sounds", "A tone.", clips, [("estimates", "SNR, dB"), ("noisy", "6.0")])
    assert not re.search(r"https?:|@import|url\(", text)
    assert "one &lt;tone&gt;" in text
    sounds = [base64.b64decode(s) for s in re.findall(r'<audio controls src="data:audio/wav;base64,([^"]*)"', text)]
    loud, quiet = (np.frombuffer(sound[44:], "<i2") for sound in sounds)  # after the head of a WAV
    assert len(loud) == RATE
    np.testing.assert_allclose(loud / 2**15, TONE, atol=2e-5)
    np.testing.assert_allclose(quiet, loud / 2, atol=1)
    # Equal axes: the louder fills the height, the other one half of it.
    heights = []
    for path in re.findall(r'<path d="M([^"]*)Z"', text):
        y = np.array([float(point.split(",")[1]) for point in path.split()])
        heights.append(np.ptp(y))
    assert 1.9 < heights[0] / heights[1] < 2.1
    # The page allows no scripts, of which a test needs one.
    allowed = text.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    (tmp_path / "page.html").write_text(allowed)
    script = """addEventListener("load", () => setTimeout(() => {
      document.title = [...document.querySelectorAll("audio")].map((a) => a.duration).join(" "); }, 500));"""
    assert "<title>1 1</title>" in browse(tmp_path / "page.html", script)
