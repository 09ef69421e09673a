from __future__ import annotations

import numpy as np
import pytest

from gdl_jax.metrics.similarity import dice, iou, ms_ssim, ngram_divergence, segmental_snr, snr, ssim


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 20, 16, 3))


def test_ssim_in_closed_form_and_against_a_window(images):
    np.testing.assert_allclose(ssim(images, images), 1)
    # Constant images: the term of luminance alone.
    a, b = np.full((1, 11, 11, 1), 0.2), np.full((1, 11, 11, 1), 0.6)
    np.testing.assert_allclose(ssim(a, b), (2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4))
    # One window in full.
    x, y = images[:1, :11, :11, :1], images[1:, :11, :11, :1]
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2

    def mean(z):
        return (weights * z[0, :, :, 0]).sum()

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c, d = 1e-4, 9e-4
    wanted = (2 * mx * my + c) * (2 * cov + d) / ((mx**2 + my**2 + c) * (vx + vy + d))
    np.testing.assert_allclose(ssim(x, y), wanted)
    with pytest.raises(ValueError, match="11 pixels a side"):
        ssim(x[:, :10], y[:, :10])


def test_ms_ssim():
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(1, 176, 180, 1))
    np.testing.assert_allclose(ms_ssim(x, x), 1)
    noisy = [ms_ssim(x, np.clip(x + rng.normal(0, s, x.shape), 0, 1))[0] for s in (0.05, 0.2)]
    assert 1 > noisy[0] > noisy[1] > 0
    # Of constant images only the last scale's luminance is not 1.
    a, b = np.full((1, 176, 176, 1), 0.2), np.full((1, 176, 176, 1), 0.6)
    np.testing.assert_allclose(ms_ssim(a, b), ((0.24 + 1e-4) / (0.4 + 1e-4)) ** 0.1333)
    with pytest.raises(ValueError, match="176 pixels a side or more"):
        ms_ssim(x[:, :100], x[:, :100])


def test_masks():
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    b = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
    np.testing.assert_allclose(iou(a, b), [1 / 3, 1, 0])
    np.testing.assert_allclose(dice(a, b), [1 / 2, 1, 0])
    with pytest.raises(ValueError, match="same shape"):
        iou(a, b[:2])


def test_signal_to_noise():
    rng = np.random.default_rng(2)
    clean = rng.normal(size=16_000)
    noise = rng.normal(size=16_000) * np.sqrt(0.1)
    assert snr(clean + 0.1 * clean, clean) == pytest.approx(20)
    assert segmental_snr(clean + 0.1 * clean, clean, 16_000) == pytest.approx(20)
    assert snr(clean + noise, clean) == pytest.approx(10, abs=0.2)
    assert segmental_snr(clean, clean, 16_000) == 35
    assert segmental_snr(clean + 100 * clean, clean, 16_000) == -10
    # A loud half and a noisy quiet half: the whole hides what the frames show.
    both = np.concatenate([clean * 100, clean])
    estimate = both + np.concatenate([0 * clean, clean])
    assert snr(estimate, both) > 35
    assert segmental_snr(estimate, both, 16_000) == pytest.approx(17.5, abs=0.2)
    assert segmental_snr(clean[:10] * 1.1, clean[:10], 16_000) == pytest.approx(20, abs=1e-6)


def test_ngrams():
    assert ngram_divergence(["abab"], ["abab", "abab"], 2) == 0
    assert ngram_divergence(["aaa"], ["bbb"], 1) == pytest.approx(1)
    # p = (1, 0), q = (1/2, 1/2): the divergence of two small tables.
    wanted = 0.5 * np.log2(1 / 0.75) + 0.5 * (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25))
    assert ngram_divergence([[1, 1]], [[1, 2]], 1) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="no sequence of 3"):
        ngram_divergence(["ab"], ["abc"], 3)
