"""The benchmark of feature networks: its record and its table."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import features
from gdl_jax.metrics.features import network_features


@pytest.fixture
def small(monkeypatch):
    """In place of Inception, which takes long to compile: sixteen numbers that feel their dtype."""

    def of(path, dtype):
        def network(weight, images):
            return (images[:, :4, :4, 0].reshape(len(images), -1).astype(dtype) * weight).astype(jnp.float32), None

        return network_features(f"small_{dtype}", "", network, jnp.ones((), dtype), shape=(8, 8, 3), image_range=(0, 1))

    monkeypatch.setattr(features, "inception_of", of)
    monkeypatch.setattr(features, "FEATURES", 16)


def test_record_and_table(small, tmp_path, capsys):
    path = tmp_path / "record.json"
    words = ["--num", "30", "--size", "8", "--fid-samples", "70", "--rounds", "2", "--json", str(path)]
    assert features.main(words) == 0
    record = json.loads(path.read_text())
    assert record["command"].startswith("python -m benchmarks.features --num 30")
    full, half, difference, profile = record["records"]
    for entry in (full, half):
        assert entry["images_per_second"] == pytest.approx(30 / np.median(entry["all_seconds"]))
        assert len(entry["all_seconds"]) == 2
    assert difference["relative_change_by_bfloat16"] == pytest.approx(
        difference["bfloat16"] / difference["float32"] - 1
    )
    assert 0 < abs(difference["relative_change_by_bfloat16"]) < 0.1
    assert profile["seconds"] == pytest.approx(sum(part["seconds"] for part in profile["parts"].values()))
    assert 0 < profile["share_of_network"] < 1
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("  ")[0] for row in rows[1:]] == [
        full["name"],
        half["name"],
        difference["name"],
        profile["name"],
    ] + ["" for _ in profile["parts"]]


def test_mistakes(tmp_path, capsys):
    assert features.main(["--fid-samples", "10"]) == 2
    assert features.main([str(tmp_path / "none.pth"), "--fid-samples", "0"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("error: --fid-samples is 10; a covariance of 64 features needs 65 or more.")
    assert "There is no weight file" in errors[1]
