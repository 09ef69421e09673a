from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data.sound import read_wav, wav_bytes
from gdl_jax.errors import UsageError
from gdl_jax.metrics import pairs
from gdl_jax.metrics.pairs import compare_pairs
from gdl_jax.pictures import sounds
from gdl_jax.pictures.sounds import clips_of

SHARED = Path(os.environ.get("GDL_JAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def write_sounds(root: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    for folder in ("clean", "noisy"):
        (root / folder / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.wav"):
        clean = 0.5 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)
        (root / "clean" / name).write_bytes(wav_bytes(clean, 8000))
        noise = rng.normal(size=8000)
        noise *= 0.1 * np.linalg.norm(clean) / np.linalg.norm(noise)
        (root / "noisy" / name).write_bytes(wav_bytes(clean + noise, 8000))
    return root / "clean", root / "noisy"


def test_sounds_and_their_page(tmp_path, capsys):
    clean, noisy = write_sounds(tmp_path)
    page = tmp_path / "page.html"
    pairs.main([str(clean), str(noisy), str(clean), "--json"])
    found = json.loads(capsys.readouterr().out)
    sounds.main([str(clean), str(noisy), str(clean), "--page", str(page)])
    assert capsys.readouterr().out == f"{page}\n"
    assert found[str(noisy)]["snr"]["value"] == pytest.approx(20, abs=0.01)
    assert found[str(noisy)]["segmental_snr"]["value"] == pytest.approx(20, abs=1)
    assert found[str(clean)]["segmental_snr"]["value"] == 35
    assert found[str(noisy)]["snr"]["protocol"]["pairs"] == 2
    text = page.read_text()
    assert text.count("<audio controls") == 6
    assert "deep/b.wav" in text
    assert "SNR 20.0 dB" in text


def test_spoken_digits(tmp_path):
    source = SHARED / "audio" / "spoken_digits"
    names = sorted(path.name for path in source.rglob("*.wav"))[:3]
    if not names:
        pytest.skip("needs the spoken digits")
    for folder in ("clean", "noisy"):
        (tmp_path / folder).mkdir()
    for name in names:
        sound, rate = read_wav(next(source.rglob(name)))
        assert rate == 8000
        (tmp_path / "clean" / name).write_bytes(wav_bytes(sound, rate))
        np.testing.assert_array_equal(read_wav(tmp_path / "clean" / name)[0], sound)
        (tmp_path / "noisy" / name).write_bytes(wav_bytes(0.9 * sound, rate))
    found = compare_pairs(tmp_path / "clean", [tmp_path / "noisy"])[str(tmp_path / "noisy")]
    assert found["snr"]["value"] == pytest.approx(20, abs=0.1)
    (clip, *_) = clips_of(tmp_path / "clean", [tmp_path / "noisy"])
    assert list(clip.sounds) == ["clean", "noisy"]


def save(folder: Path, **images: np.ndarray) -> Path:
    folder.mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


def test_images_and_masks(tmp_path, capsys):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (16, 16, 3), np.uint8)
    real = save(tmp_path / "real", a=image)
    (found,) = compare_pairs(real, [save(tmp_path / "fake", a=image + 51)]).values()
    assert found["psnr"]["value"] == pytest.approx(20 * np.log10(5), rel=1e-5)
    assert 0 < found["ssim"]["value"] < 1
    pairs.main([str(real), str(real), "--json"])
    (found,) = json.loads(capsys.readouterr().out).values()
    assert (found["psnr"]["value"], found["ssim"]["value"]) == pytest.approx((100, 1))
    left, top = np.zeros((2, 8, 8), np.uint8)
    left[:, :4] = top[:4] = 255
    (found,) = compare_pairs(
        save(tmp_path / "b", a=left), [save(tmp_path / "c", a=top)], masks="binary"
    ).values()  # fmt: skip
    assert {name: result["value"] for name, result in found.items()} == pytest.approx(
        {"iou": 1 / 3, "dice": 0.5, "accuracy": 0.5}
    )


def test_classes_over_all_masks_together_without_the_void(tmp_path):
    one, two = np.array([[0, 0, 1], [1, 2, 11]], np.uint8), np.array([[0, 0, 0], [0, 0, 0]], np.uint8)
    wrong = np.array([[0, 11, 1], [1, 2, 5]], np.uint8)
    real = save(tmp_path / "real", a=one, b=two)
    (found,) = compare_pairs(
        real, [save(tmp_path / "fake", a=wrong, b=two)], masks="classes", void=11
    ).values()  # fmt: skip
    values = {name: result["value"] for name, result in found.items()}
    assert values == pytest.approx(
        {"iou/0": 7 / 8, "iou/1": 1, "iou/2": 1, "mean_iou": (7 / 8 + 1 + 1) / 3, "pixel_accuracy": 10 / 11}
    )


def test_mistakes(tmp_path):
    clean, noisy = write_sounds(tmp_path)
    images = save(tmp_path / "images", a=np.zeros((8, 8), np.uint8))
    (noisy / "a.wav").unlink()
    for act, match in (
        (lambda: compare_pairs(clean, [noisy]), r"noisy lacks a\.wav"),
        (lambda: compare_pairs(clean, [tmp_path / "none"]), "no folder"),
        (lambda: compare_pairs(clean, [clean], masks="binary"), "--masks is for images"),
        (lambda: clips_of(images, [images]), "this page is of sounds"),
        (lambda: compare_pairs(images, [images]), r"a\.png: SSIM takes images of 11 pixels"),
        (lambda: compare_pairs(tmp_path / "clean" / "deep", [images]), r"images lacks b\.wav"),
        (lambda: compare_pairs(tmp_path, [tmp_path]), "both sounds and images"),
    ):
        with pytest.raises(UsageError, match=match):
            act()
    (noisy / "a.wav").write_bytes(wav_bytes(np.zeros(5), 8000))
    with pytest.raises(UsageError, match=r"has 5 samples, and .* 8000; align"):
        compare_pairs(clean, [noisy])
    for content in (b"RIFF", b"", wav_bytes(np.zeros(5), 8000)[:30]):
        (noisy / "a.wav").write_bytes(content)
        with pytest.raises(UsageError, match="no WAV of 16-bit PCM"):
            compare_pairs(clean, [noisy])
