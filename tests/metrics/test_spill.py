from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gdl_jax.metrics.spill import blocks, spilled


def test_parts_one_after_another():
    rng = np.random.default_rng(0)
    a, b = rng.random((10, 3, 2)), rng.integers(0, 9, (10, 4), np.uint8)
    found = spilled((x[:, ::-1], y) for x, y in zip(blocks(a, 4), blocks(b, 4), strict=True))
    for array, wanted in zip(found, (a[:, ::-1], b), strict=True):
        assert array.dtype == wanted.dtype
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, wanted)
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 0


@pytest.mark.parametrize("parts", [[], [(np.zeros((0, 3)),)]])
def test_nothing(parts):
    with pytest.raises(ValueError, match="nothing to look at"):
        spilled(parts)


def test_a_full_disk_is_an_error_and_no_signal(monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
        with pytest.raises(OSError, match="No space left"):
            spilled([(np.zeros(10**6),)])
