"""The metrics against other people's implementations of them, on the same features; and FID on parts of one set."""

from __future__ import annotations

import sys
from unittest.mock import MagicMock

import numpy as np
import pytest

from gdl_jax.data.source import DataSettings, load
from gdl_jax.metrics.features import PIXELS
from gdl_jax.metrics.frechet import frechet_distance, moments
from gdl_jax.metrics.inception import inception_score
from gdl_jax.metrics.kernel import kernel_distance
from gdl_jax.metrics.neighbours import precision_recall
from gdl_jax.metrics.similarity import ms_ssim, ssim


@pytest.fixture(scope="module")
def sets():
    """Features as a network gives them: not negative, correlated, float32."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(48, 64)) / 7
    return tuple(np.maximum(rng.normal(m, s, (600, 48)) @ mix, 0).astype(np.float32) for m, s in ((0, 1), (0.1, 0.9)))


def test_ssim_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(3, 32, 24, 3))
    y = np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    wanted = [metrics.structural_similarity(a, b, data_range=1, channel_axis=-1, **options) for a, b in zip(x, y)]  # noqa: B905
    np.testing.assert_allclose(ssim(x, y), wanted, rtol=1e-10)


@pytest.mark.torch
def test_ms_ssim_of_pytorch_msssim():
    torch, other = pytest.importorskip("torch"), pytest.importorskip("pytorch_msssim")
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, 192, 176, 1))
    y = np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1)
    a, b = (torch.from_numpy(z.transpose(0, 3, 1, 2)).double() for z in (x, y))
    wanted = other.ms_ssim(a, b, data_range=1, size_average=False).numpy()
    # Its window is of float32 always.
    np.testing.assert_allclose(ms_ssim(x, y), wanted, rtol=1e-6)


@pytest.fixture
def no_torchvision(monkeypatch):
    """Its modules import it for networks, which are not looked at here; wheels of it suit few builds of torch."""
    pytest.importorskip("torch")
    for name in ("", ".transforms", ".transforms.functional", ".datasets", ".models"):
        monkeypatch.setitem(sys.modules, f"torchvision{name}", MagicMock())


@pytest.mark.torch
def test_the_measures_of_torch_fidelity(sets, no_torchvision):
    torch = pytest.importorskip("torch")
    fid, kid, isc = (pytest.importorskip(f"torch_fidelity.metric_{name}") for name in ("fid", "kid", "isc"))
    real, fake = sets
    a, b = (torch.from_numpy(s) for s in (fake, real))
    statistics = [fid.fid_features_to_statistics(s) for s in (a, b)]
    wanted = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(moments(fake), moments(real)) == pytest.approx(wanted, rel=1e-6)
    # A subset of all is the same whatever the draw.
    wanted = kid.kid_features_to_metric(a, b, kid_subsets=2, kid_subset_size=len(real), verbose=False)
    found = kernel_distance(real, fake)
    assert found.value == pytest.approx(wanted["kernel_inception_distance_mean"], rel=1e-4)
    wanted = isc.isc_features_to_metric(a, splits=10, shuffle=False)
    assert inception_score(fake) == pytest.approx(
        (wanted["inception_score_mean"], wanted["inception_score_std"]), rel=1e-5
    )


def test_the_four_measures_of_prdc(sets):
    other = pytest.importorskip("prdc")
    wanted = other.compute_prdc(*sets, nearest_k=5)
    found = precision_recall(*sets, k=5, k_density=5)
    assert found._asdict() == pytest.approx(wanted, abs=1 / 600)


def test_fid_of_disjoint_halves_shrinks_as_one_over_their_size():
    """Of n examples a side of one distribution it is c / n, so n times it stays, whatever c is."""
    digits = [load(DataSettings(size=16), split) for split in ("train", "test")]
    images = np.concatenate([source.take(np.arange(len(source)))["image"] for source in digits])
    features = PIXELS.of(images)
    rng = np.random.default_rng(0)
    sizes, found = (110, 220, 440, 880), []
    for n in sizes:
        halves = [np.split(rng.permutation(len(features))[: 2 * n], 2) for _ in range(8)]
        found.append(np.mean([frechet_distance(*(moments(features[half]) for half in pair)) for pair in halves]))
    np.testing.assert_allclose(np.array(found) * sizes, found[1] * sizes[1], rtol=0.2)
